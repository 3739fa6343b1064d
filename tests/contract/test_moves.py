"""A move is one statement: no two callers both make it, though each has looked before."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from livius.adapters.store import SqlStore, open_store
from livius.adapters.store.dialects import Sqlite
from livius.adapters.store.engine import Transactions
from livius.domain.audit import Action, entry
from livius.domain.errors import Exhausted
from livius.domain.session import Event, Goal, Phase, Session
from livius.domain.statement import Ending
from livius.ports.capacity import Occupancy
from livius.ports.store import AuditQuery, SessionEnd
from support.records import NOW, added, end_session, make, move_session

Move = Callable[[SqlStore, Session], Awaitable[object]]


async def begin_stop(store: SqlStore, session: Session) -> object:
    return await move_session(store, session.id, Event.STOP_BEGUN, at=NOW)


async def end(store: SqlStore, session: Session) -> object:
    audit = entry(session, Action.SESSION_END, at=NOW, result="ok")
    leaves = SessionEnd(ending=Ending(ok=False), audit=audit)
    return await end_session(store, session.id, at=NOW, end=lambda _: leaves)


async def stop(store: SqlStore, session: Session) -> object:
    audit = entry(session, Action.SESSION_DELETE, at=NOW, result="ok")
    return await store.request_stop(session.id, audit=audit, deleted_at=NOW)


async def idle(store: SqlStore, session: Session) -> object:
    late = NOW + session.idle_timeout
    return session.driver in await store.stop_idle(now=late, reason=lambda _: "idle") or None


async def create(store: SqlStore, _session: Session) -> object:
    def admit(found: Occupancy) -> bool:
        if found.drivers > 1:
            raise Exhausted("TooManyRequestsForCapacity", "full")
        return True

    session, driver = make()
    try:
        await store.add_session(session, driver, admit=admit)
    except Exhausted:
        return None
    return session


class Meeting:
    """Two callers, each in a thread and a store of its own.

    The store's transactions don't write from their beginning here, so each may have read what the
    other is about to change. After its first statement a caller waits for the other to come as
    far, or for a moment: one that waits for the other's lock never comes.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._barrier = threading.Barrier(2)

    def both(self, move: Move, session: Session) -> list[object]:
        results: list[object] = []
        callers = [
            threading.Thread(target=self._call, args=(move, session, results)) for _ in range(2)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
        return results

    def _call(self, move: Move, session: Session, results: list[object]) -> None:
        dialect = Sqlite(f"sqlite:///{self._database}")
        engine = dialect.open()
        event.listen(engine, "before_cursor_execute", _begin_as_reader, retval=True)
        event.listen(engine, "after_execute", self._meet)
        store = SqlStore(Transactions(engine, dialect))
        try:
            results.append(asyncio.run(_result(move(store, session))))
        except Exception as error:  # noqa: BLE001 - the test compares it
            results.append(error)
        finally:
            store.close()

    def _meet(self, *_what: object) -> None:
        try:
            self._barrier.wait(0.5)
        except threading.BrokenBarrierError:
            return  # the other is behind us


async def _result(move: Awaitable[object]) -> object:
    return await move


def _begin_as_reader(
    _connection: Any, _cursor: Any, text: str, parameters: Any, *_more: Any
) -> tuple[str, Any]:
    return text.replace("BEGIN IMMEDIATE", "BEGIN"), parameters


@pytest.mark.parametrize("move", [begin_stop, end, idle, create])
async def test_of_two_callers_one_makes_the_move(move: Move, tmp_path: Path) -> None:
    database = tmp_path / "livius.db"
    store = SqlStore(open_store(database))
    session = await added(store, phase=Phase.READY)
    results = await asyncio.to_thread(Meeting(database).both, move, session)
    assert sorted(result is not None for result in results) == [False, True], results
    assert not [result for result in results if isinstance(result, Exception)]
    written = await store.audit(AuditQuery(session=session.id, limit=9))
    assert len(written) == (move is end)
    store.close()


async def test_of_two_deletions_one_is_written_to_the_audit_log(tmp_path: Path) -> None:
    database = tmp_path / "livius.db"
    store = SqlStore(open_store(database))
    session = await added(store, phase=Phase.READY)
    results = await asyncio.to_thread(Meeting(database).both, stop, session)
    stopped = await store.session(session.id)
    assert stopped is not None
    assert (stopped.goal, stopped.deleted_at) == (Goal.STOP, NOW)
    assert results == [stopped, stopped]
    assert len(await store.audit(AuditQuery(session=session.id, limit=9))) == 1
    store.close()
