"""What every store promises."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from livius.domain.activity import ActivityState, Position, activity_state
from livius.domain.driver import Driver
from livius.domain.identity import PrincipalKind
from livius.domain.ids import (
    DriverId,
    LakehouseId,
    PrincipalId,
    ReplId,
    SessionId,
    StatementNumber,
    TenantId,
    WorkspaceId,
    new_id,
)
from livius.domain.jobs import SparkJob, SparkStage, StatementJobs
from livius.domain.lakehouse import Lakehouse, Role, RoleAssignment, Workspace
from livius.domain.personal_token import PersonalToken
from livius.domain.session import EndCause, Goal, Phase, Session
from livius.domain.session import Event as SessionEvent
from livius.domain.statement import Ending, Event, Kind
from livius.domain.statement import Phase as StatementPhase
from livius.ports.store import ActivityQuery, Found, NamedPlace, NewStatement, Store

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
WORKSPACE = WorkspaceId(new_id())
LAKEHOUSE = LakehouseId(new_id())


def make(*, created_at: datetime = NOW) -> tuple[Session, Driver]:
    session_id, driver_id = SessionId(new_id()), DriverId(new_id())
    session = Session(
        id=session_id,
        workspace=WORKSPACE,
        lakehouse=LAKEHOUSE,
        submitter=PrincipalId(new_id()),
        submitter_name="Ada",
        name="演示",
        runtime="2.0",
        conf={"spark.x": "1"},
        tags={"a": "b"},
        request={"name": "演示"},
        goal=Goal.RUN,
        phase=Phase.REQUESTED,
        driver=driver_id,
        repl=ReplId(new_id()),
        idle_timeout=timedelta(minutes=20),
        created_at=created_at,
        last_active_at=created_at,
        times={Phase.REQUESTED: created_at},
    )
    driver = Driver(id=driver_id, session=session_id, secret_hash=None, created_at=created_at)
    return session, driver


async def added(store: Store, *, phase: Phase = Phase.REQUESTED) -> Session:
    session, driver = make()
    await store.add_session(session, driver)
    for event, reached in (
        (SessionEvent.LAUNCH_BEGUN, Phase.LAUNCHING),
        (SessionEvent.DRIVER_ATTACHED, Phase.STARTING),
        (SessionEvent.DRIVER_READY, Phase.READY),
    ):
        if session.phase is phase:
            break
        moved = await store.move_session(session.id, event, at=NOW)
        assert moved is not None
        assert moved.phase is reached
        session = moved
    return session


def code(session: Session, text: str = "1", *, at: datetime = NOW) -> NewStatement:
    return NewStatement(
        session=session.id,
        repl=session.repl,
        driver=session.driver,
        kind=Kind.PYSPARK,
        code=text,
        source_id="cell-1",
        at=at,
    )


async def test_a_session_comes_back_as_it_went_in(store: Store) -> None:
    session, driver = make()
    await store.add_session(session, driver)
    assert await store.session(session.id) == session
    assert await store.driver(driver.id) == driver
    assert await store.session_of_driver(driver.id) == session
    assert await store.session(SessionId(new_id())) is None


async def test_an_event_moves_a_session_once(store: Store) -> None:
    session = await added(store)
    first, second = await asyncio.gather(
        store.move_session(session.id, SessionEvent.LAUNCH_BEGUN, at=NOW),
        store.move_session(session.id, SessionEvent.LAUNCH_BEGUN, at=NOW),
    )
    assert [first, second].count(None) == 1


async def test_a_refused_event_changes_nothing(store: Store) -> None:
    session = await added(store)
    assert await store.move_session(session.id, SessionEvent.DRIVER_READY, at=NOW) is None
    assert await store.session(session.id) == session


async def test_changes_come_with_the_event(store: Store) -> None:
    session = await added(store, phase=Phase.STARTING)
    moved = await store.move_session(
        session.id, SessionEvent.DRIVER_READY, at=NOW, spark_app_id="local-1", versions={"a": "1"}
    )
    assert moved is not None
    assert (moved.spark_app_id, moved.versions) == ("local-1", {"a": "1"})
    assert moved.times[Phase.READY] == NOW


async def test_the_first_cause_of_a_stop_stays_but_a_deletion_is_always_marked(
    store: Store,
) -> None:
    session = await added(store)
    await store.want_stop(session.id, end_cause=EndCause.IDLE, end_reason="idle")
    await store.want_stop(
        session.id, deleted_at=NOW, end_cause=EndCause.DELETED, end_reason="deleted"
    )
    found = await store.session(session.id)
    assert found is not None
    assert (found.goal, found.end_cause, found.end_reason, found.deleted_at) == (
        Goal.STOP,
        EndCause.IDLE,
        "idle",
        NOW,
    )


async def test_deleted_sessions_are_not_listed_and_pages_fit_together(store: Store) -> None:
    sessions = []
    for minute in range(5):
        session, driver = make(created_at=NOW + timedelta(minutes=minute))
        await store.add_session(session, driver)
        sessions.append(session)
    await store.want_stop(sessions[0].id, deleted_at=NOW)
    first, total = await store.list_sessions(WORKSPACE, LAKEHOUSE, skip=0, top=3)
    second, _ = await store.list_sessions(WORKSPACE, LAKEHOUSE, skip=3, top=3)
    assert total == 4
    assert [s.id for s in (*first, *second)] == [s.id for s in reversed(sessions[1:])]
    assert await store.list_sessions(WORKSPACE, LakehouseId(new_id()), skip=0, top=3) == ([], 0)


async def test_statements_are_numbered_from_zero_within_their_repl(store: Store) -> None:
    one, other = await added(store), await added(store)
    numbers = [await store.add_statement(code(one), claim=False) for _ in range(3)]
    first_of_other = await store.add_statement(code(other), claim=False)
    assert [s and s.number for s in numbers] == [0, 1, 2]
    assert first_of_other is not None
    assert first_of_other.number == 0


async def test_statements_added_at_once_get_different_numbers(store: Store) -> None:
    session = await added(store)
    new = [store.add_statement(code(session), claim=True) for _ in range(8)]
    found = await asyncio.gather(*new)
    assert sorted(s.number for s in found if s) == list(range(8))
    assert [s.phase for s in found if s].count(StatementPhase.RUNNING) == 1


async def test_a_repl_runs_one_statement_at_a_time_in_order(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    first = await store.add_statement(code(session), claim=True)
    second = await store.add_statement(code(session), claim=True)
    assert first is not None
    assert second is not None
    assert (first.phase, second.phase) == (StatementPhase.RUNNING, StatementPhase.WAITING)
    assert await store.claim_next(session.repl, at=NOW) is None
    await store.move_statement(
        session.repl, first.number, Event.FINISHED, at=NOW, ending=Ending(ok=True)
    )
    claimed = await store.claim_next(session.repl, at=NOW)
    assert claimed is not None
    assert (claimed.number, claimed.phase) == (1, StatementPhase.RUNNING)


async def test_a_late_result_does_not_overwrite_cancelled(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session), claim=True)
    number = StatementNumber(0)
    cancelled = Ending(ok=False, ename="Cancelled", evalue="x", traceback=("a\n",))
    await store.move_statement(session.repl, number, Event.CANCEL_REQUESTED, at=NOW)
    await store.move_statement(session.repl, number, Event.STOPPED, at=NOW, ending=cancelled)
    late = await store.move_statement(
        session.repl, number, Event.FINISHED, at=NOW, ending=Ending(ok=True)
    )
    assert late is None
    found = await store.statement(session.repl, number)
    assert found is not None
    assert (found.phase, found.ending) == (StatementPhase.CANCELLED, cancelled)


async def test_an_ending_comes_back_as_it_went_in(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session, "print('é湖\0')"), claim=True)
    ending = Ending(ok=True, data={"application/json": {"a": [1, None, "x"]}}, with_text=False)
    await store.move_statement(
        session.repl, StatementNumber(0), Event.FINISHED, at=NOW, ending=ending
    )
    found = await store.statement(session.repl, StatementNumber(0))
    assert found is not None
    assert (found.ending, found.progress, found.code) == (ending, 1.0, "print('é湖\0')")


async def test_an_ended_session_takes_no_statements_and_leaves_none_open(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session), claim=True)
    await store.add_statement(code(session), claim=False)
    ending = Ending(ok=False, ename="SessionEnded", evalue="gone")
    ended = await store.end_session(
        session.id, at=NOW, ending=ending, end_cause=EndCause.DRIVER_DIED
    )
    assert ended is not None
    assert ended.phase is Phase.DIED
    assert await store.open_statements(session.driver) == []
    page, total = await store.list_statements(session.repl, skip=0, top=10)
    assert total == 2
    assert [(s.phase, s.ending) for s in page] == [(StatementPhase.AVAILABLE, ending)] * 2
    assert await store.add_statement(code(session), claim=True) is None
    assert await store.end_session(session.id, at=NOW, ending=ending) is None
    driver = await store.driver(session.driver)
    assert driver is not None
    assert driver.ended_at == NOW


async def test_a_session_that_is_to_stop_takes_no_statements(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.want_stop(session.id, end_cause=EndCause.IDLE)
    assert await store.add_statement(code(session), claim=True) is None


async def test_only_ready_sessions_without_work_idle_out(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    later = NOW + timedelta(minutes=20)
    assert await store.idle_sessions(now=later - timedelta(seconds=1)) == []
    assert await store.idle_sessions(now=later) == [session.id]
    await store.add_statement(code(session), claim=True)
    assert await store.idle_sessions(now=later + timedelta(days=1)) == []
    assert await store.busy([session.id]) == {session.id}
    end = later + timedelta(hours=1)
    await store.move_statement(
        session.repl, StatementNumber(0), Event.FINISHED, at=end, ending=Ending(ok=True)
    )
    assert await store.idle_sessions(now=end) == []
    assert await store.idle_sessions(now=end + timedelta(minutes=20)) == [session.id]
    await store.touch_session(session.id, at=end + timedelta(minutes=20))
    assert await store.idle_sessions(now=end + timedelta(minutes=20)) == []


async def test_progress_of_a_finished_statement_stays(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session), claim=True)
    number = StatementNumber(0)
    await store.set_progress(session.repl, number, 0.5)
    running = await store.statement(session.repl, number)
    assert running is not None
    assert running.progress == 0.5
    await store.move_statement(
        session.repl, number, Event.FINISHED, at=NOW, ending=Ending(ok=False, ename="E")
    )
    await store.set_progress(session.repl, number, 0.9)
    finished = await store.statement(session.repl, number)
    assert finished is not None
    assert finished.progress == 0.5


async def test_an_ended_session_is_removed_whole_and_a_live_one_is_not(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session), claim=True)
    await store.remove_session(session.id)
    assert await store.session(session.id) is not None
    await store.end_session(session.id, at=NOW, ending=Ending(ok=False))
    assert await store.ended_before(NOW) == []
    assert [s.id for s in await store.ended_before(NOW + timedelta(days=1))] == [session.id]
    await store.remove_session(session.id)
    assert await store.session(session.id) is None
    assert await store.driver(session.driver) is None
    assert await store.statement(session.repl, StatementNumber(0)) is None


async def test_notes_are_taken_while_the_session_lives(store: Store) -> None:
    session = await added(store)
    await store.note_session(session.id, end_reason="because", log=("a", "b"))
    found = await store.session(session.id)
    assert found is not None
    assert (found.end_reason, found.log) == ("because", ("a", "b"))
    await store.end_session(session.id, at=NOW, ending=Ending(ok=False))
    await store.note_session(session.id, end_reason="too late")
    found = await store.session(session.id)
    assert found is not None
    assert found.end_reason == "because"


async def test_workspaces_lakehouses_and_roles(store: Store) -> None:
    workspace = Workspace(id=WorkspaceId(new_id()), name="Research", created_at=NOW)
    admin, guest = PrincipalId(new_id()), PrincipalId(new_id())
    await store.add_workspace(workspace, admin)
    lakehouse = Lakehouse(
        id=LakehouseId(new_id()),
        workspace=workspace.id,
        name="Bronze",
        database="bronze",
        created_at=NOW,
    )
    await store.add_lakehouse(lakehouse)
    assert await store.workspace(workspace.id) == workspace
    assert await store.list_workspaces() == [workspace]
    assert await store.lakehouse(lakehouse.id) == lakehouse
    assert await store.list_lakehouses(workspace.id) == [lakehouse]
    assert await store.database_names() == {"bronze"}
    assert await store.role(workspace.id, admin) is Role.ADMIN
    assert await store.role(workspace.id, guest) is None
    assert await store.find(workspace.id, lakehouse.id, admin) == Found(
        workspace=workspace, lakehouse=lakehouse, role=Role.ADMIN
    )
    nothing = Found(workspace=None, lakehouse=None, role=None)
    unknown = WorkspaceId(new_id()), LakehouseId(new_id()), guest
    assert await store.find(*unknown) == nothing
    for role in (Role.VIEWER, Role.CONTRIBUTOR):
        await store.assign_role(RoleAssignment(workspace=workspace.id, principal=guest, role=role))
        assert await store.role(workspace.id, guest) is role


async def test_places_are_the_lakehouses_where_a_principal_may_run_code(store: Store) -> None:
    admin, guest, viewer = sorted(PrincipalId(new_id()) for _ in range(3))
    workspace = Workspace(id=WorkspaceId(new_id()), name="Research", created_at=NOW)
    await store.add_workspace(workspace, admin)
    for principal, role in ((guest, Role.CONTRIBUTOR), (viewer, Role.VIEWER)):
        await store.assign_role(
            RoleAssignment(workspace=workspace.id, principal=principal, role=role)
        )
    assert await store.places() == []
    lakehouses = sorted(LakehouseId(new_id()) for _ in range(2))
    for lakehouse in lakehouses:
        await store.add_lakehouse(
            Lakehouse(
                id=lakehouse,
                workspace=workspace.id,
                name=f"name of {lakehouse}",
                database=f"at_{lakehouse}",
                created_at=NOW,
            )
        )
    assert await store.places() == [
        NamedPlace(
            principal=principal,
            workspace=workspace.id,
            workspace_name="Research",
            lakehouse=lakehouse,
            lakehouse_name=f"name of {lakehouse}",
        )
        for principal in (admin, guest)
        for lakehouse in lakehouses
    ]


async def test_a_driver_secret_is_replaced(store: Store) -> None:
    session = await added(store)
    await store.set_driver_secret(session.driver, "f" * 64)
    driver = await store.driver(session.driver)
    assert driver is not None
    assert driver.secret_hash == "f" * 64


async def test_a_lakehouses_name_is_its_own_in_whatever_case(store: Store) -> None:
    first, second = await two_lakehouses(store)
    again = dataclasses.replace(second, id=LakehouseId(new_id()), name="BRONZE", database="b2")
    assert not await store.add_lakehouse(again)
    same_database = dataclasses.replace(again, name="Other", database="silver")
    assert not await store.add_lakehouse(same_database)
    assert not await store.change_lakehouse(second.id, name="bronze", description="")
    assert await store.change_lakehouse(first.id, name="BRONZE", description="first")
    found = await store.lakehouse(first.id)
    assert found == dataclasses.replace(first, name="BRONZE", description="first")
    assert not await store.change_lakehouse(LakehouseId(new_id()), name="x", description="")


async def test_a_deleted_lakehouse_leaves_its_database_name_taken(store: Store) -> None:
    first, second = await two_lakehouses(store)
    by = PrincipalId(new_id())
    session, driver = make()
    session = dataclasses.replace(session, workspace=first.workspace, lakehouse=first.id)
    await store.add_session(session, driver)
    assert not await store.delete_lakehouse(first.id, at=NOW, by=by)
    assert await store.move_session(session.id, SessionEvent.DRIVER_ENDED, at=NOW)
    assert await store.delete_lakehouse(first.id, at=NOW, by=by)
    assert not await store.delete_lakehouse(first.id, at=NOW, by=by)
    assert await store.lakehouse(first.id) is None
    assert await store.list_lakehouses(first.workspace) == [second]
    assert await store.database_names() == {"bronze", "silver"}
    assert await store.add_lakehouse(dataclasses.replace(first, database="bronze_2"))


async def test_a_principal_sees_the_workspaces_it_has_a_role_in(store: Store) -> None:
    first, _ = await two_lakehouses(store)
    guest = PrincipalId(new_id())
    assert await store.workspaces_of(guest) == []
    role = RoleAssignment(workspace=first.workspace, principal=guest, role=Role.VIEWER)
    await store.assign_role(role)
    workspace = await store.workspace(first.workspace)
    assert await store.workspaces_of(guest) == [(workspace, Role.VIEWER)]


async def test_roles_are_listed_replaced_and_removed(store: Store) -> None:
    first, _ = await two_lakehouses(store)
    guest = PrincipalId(new_id())
    for role in (Role.VIEWER, Role.MEMBER):
        await store.assign_role(
            RoleAssignment(workspace=first.workspace, principal=guest, role=role)
        )
    found = await store.roles_in(first.workspace)
    assert [one.principal for one in found] == sorted(one.principal for one in found)
    assert sorted(one.role for one in found) == [Role.ADMIN, Role.MEMBER]
    assert await store.remove_role(first.workspace, guest)
    assert not await store.remove_role(first.workspace, guest)
    assert await store.role(first.workspace, guest) is None
    assert [one.role for one in await store.roles_in(first.workspace)] == [Role.ADMIN]


async def test_personal_tokens_are_found_by_digest_and_forgotten_by_id(store: Store) -> None:
    made = PersonalToken(
        id=new_id(),
        digest="a" * 64,
        name="airflow",
        principal=PrincipalId(new_id()),
        principal_name="Ada",
        tenant=TenantId(new_id()),
        issuer="urn:test",
        subject="ada",
        scopes=("Lakehouse.Read.All", "Lakehouse.Execute.All"),
        created_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )
    await store.add_personal_token(made)
    later = dataclasses.replace(
        made, id=new_id(), digest="b" * 64, created_at=NOW + timedelta(seconds=1)
    )
    await store.add_personal_token(later)
    assert await store.personal_token("a" * 64) == made
    assert await store.personal_token("c" * 64) is None
    assert await store.list_personal_tokens() == [made, later]
    assert await store.remove_personal_token(made.id)
    assert not await store.remove_personal_token(made.id)
    assert await store.list_personal_tokens() == [later]


async def two_lakehouses(store: Store) -> tuple[Lakehouse, Lakehouse]:
    workspace = Workspace(id=WorkspaceId(new_id()), name="Research", created_at=NOW)
    await store.add_workspace(workspace, PrincipalId(new_id()))
    made = [
        Lakehouse(
            id=LakehouseId(new_id()),
            workspace=workspace.id,
            name=name.capitalize(),
            database=name,
            created_at=NOW,
        )
        for name in ("bronze", "silver")
    ]
    for lakehouse in made:
        assert await store.add_lakehouse(lakehouse)
    return made[0], made[1]


async def test_activities_are_found_by_every_filter_newest_first(store: Store) -> None:
    """The state of each is the domain's, whatever way led there."""
    workspace = Workspace(id=WorkspaceId(new_id()), name="W", created_at=NOW)
    await store.add_workspace(workspace, PrincipalId(new_id()))
    lakehouse = Lakehouse(
        id=LakehouseId(new_id()), workspace=workspace.id, name="L", database="l", created_at=NOW
    )
    await store.add_lakehouse(lakehouse)
    sessions = []
    for number in range(6):
        session, driver = make(created_at=NOW + timedelta(minutes=number // 2))
        session = dataclasses.replace(
            session,
            workspace=workspace.id,
            lakehouse=lakehouse.id if number % 2 else LakehouseId(new_id()),
            name=f"Load_{number}%",
            submitter_kind=PrincipalKind.APP,
        )
        await store.add_session(session, driver)
        sessions.append(session)
    ready, cancelled, failed, deleted, stopping = (session.id for session in sessions[:5])
    for key in (ready, deleted, stopping):
        for event in (
            *(SessionEvent.LAUNCH_BEGUN, SessionEvent.DRIVER_ATTACHED, SessionEvent.DRIVER_READY),
        ):
            await store.move_session(key, event, at=NOW)
    ending = Ending(ok=False)
    late = NOW + timedelta(hours=1)
    await store.end_session(failed, at=late, ending=ending, end_cause=EndCause.START_FAILED)
    for key in (cancelled, deleted, stopping):
        await store.want_stop(key, deleted_at=NOW, end_cause=EndCause.DELETED)
    for key in (cancelled, deleted):
        await store.move_session(key, SessionEvent.STOP_BEGUN, at=NOW)
        await store.end_session(key, at=late, ending=ending)

    async def found(**conditions: Any) -> list[SessionId]:
        query = ActivityQuery(
            **{"workspaces": frozenset({workspace.id}), "limit": 100, **conditions}
        )
        activities = await store.activities(query)
        assert all(one.state is activity_state(one.session) for one in activities)
        return [one.session.id for one in activities]

    every = await found()
    newest = sorted(sessions, key=lambda one: (one.created_at, one.id), reverse=True)
    assert every == [one.id for one in newest]
    of_state = {state: await found(states=frozenset({state})) for state in ActivityState}
    assert of_state == {
        ActivityState.WAITING: [sessions[5].id],
        ActivityState.RUNNING: [ready],
        ActivityState.STOPPING: [stopping],
        ActivityState.STOPPED: [deleted],
        ActivityState.CANCELLED: [cancelled],
        ActivityState.TIMED_OUT: [],
        ActivityState.FAILED: [failed],
    }
    assert await found(states=frozenset()) == []
    assert await found(submitter=sessions[3].submitter) == [deleted]
    assert set(await found(lakehouse=lakehouse.id)) == {sessions[n].id for n in (1, 3, 5)}
    assert len(await found(submitted_from=NOW + timedelta(minutes=1))) == 4
    assert len(await found(submitted_until=NOW + timedelta(minutes=1))) == 4
    assert set(await found(ended_until=late)) == {cancelled, deleted, failed}
    assert await found(ended_from=late + timedelta(seconds=1)) == []
    assert await found(text="LOAD_3%") == [deleted]
    assert await found(text="load%3") == []
    assert await found(workspaces=frozenset()) == []
    assert await found(workspaces=frozenset({WorkspaceId(new_id())})) == []
    assert await found(limit=2) == every[:2]
    for index, one in enumerate(newest):
        assert await found(after=Position(one.created_at, one.id)) == every[index + 1 :]

    activity = await store.activity(workspace.id, deleted)
    assert activity is not None
    assert (activity.lakehouse_name, activity.workspace_name) == ("L", "W")
    assert activity.session.submitter_kind is PrincipalKind.APP
    assert await store.activity(WorkspaceId(new_id()), deleted) is None
    assert await store.activity(workspace.id, SessionId(new_id())) is None


async def test_an_activity_keeps_the_name_of_its_deleted_lakehouse(store: Store) -> None:
    workspace = Workspace(id=WorkspaceId(new_id()), name="W", created_at=NOW)
    admin = PrincipalId(new_id())
    await store.add_workspace(workspace, admin)
    lakehouse = Lakehouse(
        id=LakehouseId(new_id()), workspace=workspace.id, name="Gone", database="g", created_at=NOW
    )
    await store.add_lakehouse(lakehouse)
    session, driver = make()
    session = dataclasses.replace(session, workspace=workspace.id, lakehouse=lakehouse.id)
    await store.add_session(session, driver)
    await store.end_session(session.id, at=NOW, ending=Ending(ok=False))
    assert await store.delete_lakehouse(lakehouse.id, at=NOW, by=admin)
    one = await store.activity(workspace.id, session.id)
    assert one is not None
    assert one.lakehouse_name == "Gone"


async def test_the_first_start_of_a_sessions_statements(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    assert await store.first_started_at(session.id) is None
    await store.add_statement(code(session, at=NOW), claim=False)
    assert await store.first_started_at(session.id) is None
    await store.claim_next(session.repl, at=NOW + timedelta(seconds=3))
    assert await store.first_started_at(session.id) == NOW + timedelta(seconds=3)


def some_jobs(total: int) -> StatementJobs:
    stage = SparkStage(
        id=1, attempt=0, name="count", status="ACTIVE", tasks=8, done=3, active=2, failed=0
    )
    job = SparkJob(
        id=7,
        name="count",
        status="RUNNING",
        tasks=8,
        done=3,
        active=2,
        failed=0,
        skipped=0,
        started_at=NOW,
        ended_at=None,
        stages=(stage,),
    )
    return StatementJobs(total=total, jobs=(job,))


async def test_a_statements_jobs_are_those_that_were_told_last(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    statement = await store.add_statement(code(session), claim=True)
    assert statement is not None
    key = statement.repl, statement.number
    assert await store.jobs(*key) == StatementJobs()
    for total in (1, 2):
        await store.set_jobs(*key, some_jobs(total))
    assert await store.jobs(*key) == some_jobs(2)
    nobody = statement.repl, StatementNumber(9)
    await store.set_jobs(*nobody, some_jobs(1))
    assert await store.jobs(*nobody) == StatementJobs()


async def test_the_effective_conf_is_kept_until_the_session_is_removed(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    statement = await store.add_statement(code(session), claim=True)
    assert statement is not None
    assert await store.effective_conf(session.id) == {}
    for value in ("1", "2"):
        await store.set_effective_conf(session.id, {"spark.x": value})
    assert await store.effective_conf(session.id) == {"spark.x": "2"}
    await store.set_effective_conf(SessionId(new_id()), {"spark.x": "3"})
    await store.set_jobs(statement.repl, statement.number, some_jobs(1))
    await store.end_session(session.id, at=NOW, ending=Ending(ok=False))
    assert await store.effective_conf(session.id) == {"spark.x": "2"}
    await store.remove_session(session.id)
    assert await store.effective_conf(session.id) == {}
    assert await store.jobs(statement.repl, statement.number) == StatementJobs()
