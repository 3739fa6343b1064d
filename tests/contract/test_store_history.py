"""The contract of stores: activities, Spark jobs, effective conf."""

import dataclasses
from datetime import timedelta
from typing import Any

from livius.domain.activity import ActivityState, Position, activity_state
from livius.domain.ids import (
    LakehouseId,
    PrincipalId,
    SessionId,
    StatementNumber,
    WorkspaceId,
    new_id,
)
from livius.domain.jobs import StatementJobs
from livius.domain.lakehouse import Lakehouse, Role, Workspace
from livius.domain.principal import PrincipalKind
from livius.domain.session import EndCause, Phase
from livius.domain.session import Event as SessionEvent
from livius.ports.store import ActivityQuery, FoundActivity, Store
from support.records import NOW, added, code, end_session, make, move_session, spark_job, with_end


async def test_activities_are_found_by_every_filter_newest_first(store: Store) -> None:
    """The state of each is the domain's, whatever way led there."""
    workspace = Workspace(id=WorkspaceId(new_id()), name="W", created_at=NOW)
    admin = PrincipalId(new_id())
    await store.add_workspace(workspace, admin)
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
            await move_session(store, key, event, at=NOW)
    late = NOW + timedelta(hours=1)
    await end_session(store, failed, at=late, end=with_end(cause=EndCause.START_FAILED))
    for key in (cancelled, deleted, stopping):
        await store.request_stop(key, deleted_at=NOW, end_cause=EndCause.DELETED)
    for key in (cancelled, deleted):
        await move_session(store, key, SessionEvent.STOP_BEGUN, at=NOW)
        await end_session(store, key, at=late, end=with_end())

    async def found(**conditions: Any) -> list[SessionId]:
        query = ActivityQuery(
            **{"workspaces": frozenset({workspace.id}), "limit": 100, **conditions}
        )
        activities = await store.activities(query)
        assert all(one.state is activity_state(one.session) for one in activities)
        assert await store.count_activities(query) == len(activities)
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

    found_one = await store.find_activity(workspace.id, deleted, admin)
    assert found_one.workspace == workspace
    assert found_one.role is Role.ADMIN
    activity = found_one.activity
    assert activity is not None
    assert (activity.lakehouse_name, activity.workspace_name) == ("L", "W")
    assert activity.session.submitter_kind is PrincipalKind.APP


async def test_an_activity_is_found_in_its_workspace_with_the_callers_role(store: Store) -> None:
    workspace = Workspace(id=WorkspaceId(new_id()), name="W", created_at=NOW)
    admin = PrincipalId(new_id())
    await store.add_workspace(workspace, admin)
    session, driver = make()
    await store.add_session(dataclasses.replace(session, workspace=workspace.id), driver)
    found = await store.find_activity(workspace.id, session.id, admin)
    assert (found.workspace, found.role) == (workspace, Role.ADMIN)
    assert found.activity is not None
    elsewhere = await store.find_activity(WorkspaceId(new_id()), session.id, admin)
    assert elsewhere == FoundActivity(workspace=None, role=None, activity=None)
    for unknown in (SessionId(new_id()), None):
        other = await store.find_activity(workspace.id, unknown, PrincipalId(new_id()))
        assert other == FoundActivity(workspace=workspace, role=None, activity=None)


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
    await end_session(store, session.id, at=NOW, end=with_end())
    assert await store.delete_lakehouse(lakehouse.id, at=NOW, by=admin)
    one = (await store.find_activity(workspace.id, session.id, admin)).activity
    assert one is not None
    assert one.lakehouse_name == "Gone"


async def test_the_first_start_of_a_sessions_statements(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    assert await store.first_started_at(session.id) is None
    await store.add_statement(code(session, at=NOW), claim=False)
    assert await store.first_started_at(session.id) is None
    await store.claim_next(session.first_repl, at=NOW + timedelta(seconds=3))
    assert await store.first_started_at(session.id) == NOW + timedelta(seconds=3)


def some_jobs(total: int) -> StatementJobs:
    job = spark_job(7, status="RUNNING", ended_at=None)
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
    await store.set_heap(session.id, used=1, limit=2)
    await end_session(store, session.id, at=NOW, end=with_end())
    assert await store.effective_conf(session.id) == {"spark.x": "2"}
    await store.remove_session(session.id)
    assert await store.effective_conf(session.id) == {}
    assert await store.jobs(statement.repl, statement.number) == StatementJobs()
