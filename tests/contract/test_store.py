"""The contract of stores: sessions, drivers and statements."""

import asyncio
from datetime import datetime, timedelta

from livius.domain.audit import Action, entry
from livius.domain.ids import (
    DriverId,
    LakehouseId,
    SessionId,
    StatementNumber,
    new_id,
)
from livius.domain.session import STARTING, EndCause, Goal, Phase
from livius.domain.session import Event as SessionEvent
from livius.domain.statement import Ending, Event
from livius.domain.statement import Phase as StatementPhase
from livius.ports.store import AuditQuery, Store
from support.records import (
    LAKEHOUSE,
    NOW,
    WORKSPACE,
    added,
    code,
    end_session,
    make,
    move_session,
    with_end,
)


async def test_a_session_comes_back_as_it_went_in(store: Store) -> None:
    session, driver = make()
    await store.add_session(session, driver)
    assert await store.session(session.id) == session
    assert await store.driver(driver.id) == driver
    assert await store.session(session.id) == session
    assert await store.session(SessionId(new_id())) is None


async def test_an_event_moves_a_session_once(store: Store) -> None:
    session = await added(store)
    first, second = await asyncio.gather(
        move_session(store, session.id, SessionEvent.LAUNCH_BEGUN, at=NOW),
        move_session(store, session.id, SessionEvent.LAUNCH_BEGUN, at=NOW),
    )
    assert [first, second].count(None) == 1


async def test_a_refused_event_changes_nothing(store: Store) -> None:
    session = await added(store)
    assert await move_session(store, session.id, SessionEvent.DRIVER_READY, at=NOW) is None
    assert await store.session(session.id) == session


async def test_changes_come_with_the_event(store: Store) -> None:
    session = await added(store, phase=Phase.STARTING)
    moved = await move_session(
        store,
        session.id,
        SessionEvent.DRIVER_READY,
        at=NOW,
        spark_app_id="local-1",
        versions={"a": "1"},
    )
    assert moved is not None
    assert (moved.spark_app_id, moved.versions) == ("local-1", {"a": "1"})
    assert moved.times[Phase.READY] == NOW


async def test_the_first_cause_of_a_stop_stays_but_a_deletion_is_always_marked(
    store: Store,
) -> None:
    session = await added(store)
    await store.request_stop(session.id, end_cause=EndCause.IDLE, end_reason="idle")
    await store.request_stop(
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
    await store.request_stop(sessions[0].id, deleted_at=NOW)
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
    session = await added(store, phase=Phase.READY)
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
    assert await store.claim_next(session.first_repl, at=NOW) is None
    await store.move_statement(
        session.first_repl, first.number, Event.FINISHED, at=NOW, ending=Ending(ok=True)
    )
    claimed = await store.claim_next(session.first_repl, at=NOW)
    assert claimed is not None
    assert (claimed.number, claimed.phase) == (1, StatementPhase.RUNNING)


async def test_the_next_statement_is_claimed_with_the_end_of_the_one_before(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    for _ in range(3):
        await store.add_statement(code(session), claim=True)

    async def end(number: int, *, claim: bool) -> tuple[object, object]:
        moved, following = await store.end_statement(
            session.first_repl,
            StatementNumber(number),
            Event.FINISHED,
            at=NOW,
            ending=Ending(ok=True),
            audit=entry(session, Action.STATEMENT_END, at=NOW, result="ok"),
            claim=claim,
        )
        return moved and moved.phase, following and (following.number, following.phase)

    assert await end(0, claim=True) == (StatementPhase.AVAILABLE, (1, StatementPhase.RUNNING))
    assert await end(0, claim=True) == (None, None)  # told twice, and the next one runs
    assert await end(1, claim=False) == (StatementPhase.AVAILABLE, None)
    ends = AuditQuery(session=session.id, action=Action.STATEMENT_END, limit=9)
    written = await store.audit(ends)
    assert [record.entry.target for record in written] == ["1", "0"]


async def test_a_late_result_does_not_overwrite_cancelled(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session), claim=True)
    number = StatementNumber(0)
    cancelled = Ending(ok=False, ename="Cancelled", evalue="x", traceback=("a\n",))
    await store.move_statement(session.first_repl, number, Event.CANCEL_REQUESTED, at=NOW)
    await store.move_statement(session.first_repl, number, Event.STOPPED, at=NOW, ending=cancelled)
    late = await store.move_statement(
        session.first_repl, number, Event.FINISHED, at=NOW, ending=Ending(ok=True)
    )
    assert late is None
    found = await store.statement(session.first_repl, number)
    assert found is not None
    assert (found.phase, found.ending) == (StatementPhase.CANCELLED, cancelled)


async def test_an_ending_comes_back_as_it_went_in(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session, "print('é湖\0')"), claim=True)
    ending = Ending(
        ok=True, data=b'{"application/json": {"a": [1.10, null, "\\u00e9"]}}', with_text=False
    )
    await store.move_statement(
        session.first_repl, StatementNumber(0), Event.FINISHED, at=NOW, ending=ending
    )
    found = await store.statement(session.first_repl, StatementNumber(0))
    assert found is not None
    assert (found.ending, found.progress, found.code) == (ending, 1.0, "print('é湖\0')")


async def test_an_ended_session_takes_no_statements_and_leaves_none_open(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session), claim=True)
    await store.add_statement(code(session), claim=False)
    ending = Ending(ok=False, ename="SessionEnded", evalue="gone")
    done = await end_session(
        store, session.id, at=NOW, end=with_end(ending, cause=EndCause.DRIVER_DIED)
    )
    assert done is not None
    ended, abandoned = done
    assert (ended.phase, ended.end_cause) == (Phase.DIED, EndCause.DRIVER_DIED)
    assert [one.number for one in abandoned] == [0, 1]
    assert await store.open_statements(session.driver) == []
    assert await store.open_numbers(session.id) == []
    newest, _ = await store.list_statements(session.first_repl, skip=0, top=1, newest_first=True)
    page, total = await store.list_statements(session.first_repl, skip=0, top=10)
    assert newest == page[-1:]
    assert total == 2
    assert [(s.phase, s.ending) for s in page] == [(StatementPhase.AVAILABLE, ending)] * 2
    assert await store.add_statement(code(session), claim=True) is None
    assert await end_session(store, session.id, at=NOW, end=with_end(ending)) is None
    driver = await store.driver(session.driver)
    assert driver is not None
    assert driver.ended_at == NOW


async def test_a_session_that_is_to_stop_takes_no_statements(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.request_stop(session.id, end_cause=EndCause.IDLE)
    assert await store.add_statement(code(session), claim=True) is None


async def test_only_ready_sessions_without_work_idle_out(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    later = NOW + timedelta(minutes=20)
    assert await idle_at(store, later - timedelta(seconds=1)) == []
    await store.add_statement(code(session), claim=True)
    assert await idle_at(store, later + timedelta(days=1)) == []
    assert await store.busy([session.id]) == {session.id}
    assert await store.open_numbers(session.id) == [(session.first_repl, 0)]
    end = later + timedelta(hours=1)
    await store.move_statement(
        session.first_repl, StatementNumber(0), Event.FINISHED, at=end, ending=Ending(ok=True)
    )
    assert await idle_at(store, end) == []
    assert await store.touch(session.id, at=end + timedelta(minutes=20))
    assert await idle_at(store, end + timedelta(minutes=20)) == []
    assert await idle_at(store, end + timedelta(minutes=40)) == [session.driver]
    stopped = await store.session(session.id)
    assert stopped is not None
    assert (stopped.goal, stopped.end_cause, stopped.end_reason) == (
        Goal.STOP,
        EndCause.IDLE,
        "idle for 0:20:00",
    )
    assert await idle_at(store, end + timedelta(days=1)) == []
    assert not await store.touch(session.id, at=end + timedelta(days=1))


async def idle_at(store: Store, now: datetime) -> list[DriverId]:
    found = await store.stop_idle(now=now, reason=lambda one: f"idle for {one.idle_timeout}")
    return list(found)


async def test_a_stop_that_is_for_some_phases_leaves_the_others(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    late = await store.request_stop(
        session.id, only_in=STARTING, end_cause=EndCause.START_TIMED_OUT, end_reason="too slow"
    )
    assert late is None
    assert await store.session(session.id) == session


async def test_progress_of_a_finished_statement_stays(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session), claim=True)
    number = StatementNumber(0)
    await store.set_progress(session.first_repl, number, 0.5)
    running = await store.statement(session.first_repl, number)
    assert running is not None
    assert running.progress == 0.5
    await store.move_statement(
        session.first_repl, number, Event.FINISHED, at=NOW, ending=Ending(ok=False, ename="E")
    )
    await store.set_progress(session.first_repl, number, 0.9)
    finished = await store.statement(session.first_repl, number)
    assert finished is not None
    assert finished.progress == 0.5


async def test_an_ended_session_is_removed_whole_and_a_live_one_is_not(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session), claim=True)
    await store.remove_session(session.id)
    assert await store.session(session.id) is not None
    await end_session(store, session.id, at=NOW, end=with_end())
    assert await store.ended_before(NOW) == []
    assert [s.id for s in await store.ended_before(NOW + timedelta(days=1))] == [session.id]
    await store.remove_session(session.id)
    assert await store.session(session.id) is None
    assert await store.driver(session.driver) is None
    assert await store.statement(session.first_repl, StatementNumber(0)) is None


async def test_notes_are_taken_while_the_session_lives(store: Store) -> None:
    session = await added(store)
    await store.annotate_session(session.id, end_reason="because", log=("a", "b"))
    found = await store.session(session.id)
    assert found is not None
    assert (found.end_reason, found.log) == ("because", ("a", "b"))
    await end_session(store, session.id, at=NOW, end=with_end())
    await store.annotate_session(session.id, end_reason="too late")
    found = await store.session(session.id)
    assert found is not None
    assert found.end_reason == "because"


async def test_a_driver_secret_is_replaced(store: Store) -> None:
    session = await added(store)
    launched = NOW + timedelta(minutes=1)
    await store.note_launch(session.driver, "f" * 64, at=launched)
    driver = await store.driver(session.driver)
    assert driver is not None
    assert (driver.secret_hash, driver.created_at) == ("f" * 64, launched)
