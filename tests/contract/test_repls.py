"""Repls and high-concurrency sessions in the store, on each database."""

import asyncio
from dataclasses import replace

from livius.domain.audit import Action
from livius.domain.ids import StatementNumber
from livius.domain.repl import Phase
from livius.domain.session import Event as SessionEvent
from livius.domain.session import Phase as SessionPhase
from livius.domain.session import Session
from livius.domain.statement import Ending, Event
from livius.domain.statement import Phase as StatementPhase
from livius.ports.store import Acquired, AuditQuery, NewStatement, Store
from support.records import NOW, acquire, added, code, end_session, move_session, noted, with_end

CLOSED = Ending(ok=False, ename="ReplClosed", evalue="closed")


def statement(acquired: Acquired) -> NewStatement:
    return replace(code(acquired.session), repl=acquired.handle.repl)


async def test_acquires_at_once_fill_one_session_before_another_is_made(store: Store) -> None:
    acquired = await asyncio.gather(*(acquire(store) for _ in range(7)))
    sizes = sorted(
        [one.session.id for one in acquired].count(session)
        for session in {one.session.id for one in acquired}
    )
    assert sizes == [1, 3, 3]
    assert sum(one.is_new for one in acquired) == 3
    assert len({one.handle.repl for one in acquired}) == 7
    written = await store.audit(AuditQuery(action=Action.HIGH_CONCURRENCY_ACQUIRE, limit=50))
    assert len(written) == 7


async def test_another_key_is_another_session(store: Store) -> None:
    first, other = await acquire(store, "a"), await acquire(store, "b")
    assert other.is_new
    assert first.session.id != other.session.id


async def test_a_session_that_ends_is_not_shared_further(store: Store) -> None:
    first = await acquire(store)
    await store.request_stop(first.session.id)
    second = await acquire(store)
    assert second.is_new


async def test_the_first_repl_opens_with_the_driver_and_another_by_itself(store: Store) -> None:
    first = await acquire(store)
    session = await added_to(store, first.session)
    second = await acquire(store, after=1)
    opened = await store.repl(first.handle.repl)
    assert opened is not None
    assert opened.phase is Phase.OPEN
    waiting = await store.add_statement(statement(second), claim=True)
    assert waiting is not None
    assert waiting.phase is StatementPhase.WAITING
    assert await store.claim_next(second.handle.repl, at=NOW) is None
    assert await store.repl_opened(second.handle.repl)
    assert not await store.repl_opened(second.handle.repl)
    assert await store.claim_next(second.handle.repl, at=NOW) is not None
    assert [one.id for one in await store.live_repls(session.driver)] == [
        first.handle.repl,
        second.handle.repl,
    ]


async def added_to(store: Store, session: Session) -> Session:
    """Bring an acquired session to ready."""
    for event in (
        SessionEvent.LAUNCH_BEGUN,
        SessionEvent.DRIVER_ATTACHED,
        SessionEvent.DRIVER_READY,
    ):
        moved = await move_session(store, session.id, event, at=NOW)
        assert moved is not None
        session = moved
    return session


async def test_a_release_ends_its_statements_and_makes_room(store: Store) -> None:
    first = await acquire(store, limit=2)
    await added_to(store, first.session)
    second = await acquire(store, limit=2)
    await store.repl_opened(second.handle.repl)
    for one in (first, second):
        assert await store.add_statement(statement(one), claim=True)
    assert await store.add_statement(statement(first), claim=True)
    released = await store.release(
        first.handle.id, at=NOW, ending=CLOSED, audit=noted(first.session)
    )
    assert released is not None
    repl, ended = released
    assert repl.phase is Phase.CLOSING
    assert [(one.number, one.phase) for one in ended] == [
        (0, StatementPhase.AVAILABLE),
        (1, StatementPhase.AVAILABLE),
    ]
    # Its sibling goes on.
    sibling = await store.statement(second.handle.repl, StatementNumber(0))
    assert sibling is not None
    assert sibling.phase is StatementPhase.RUNNING
    assert await store.add_statement(statement(first), claim=True) is None
    again = noted(first.session)
    assert await store.release(first.handle.id, at=NOW, ending=CLOSED, audit=again) is None
    third = await acquire(store, limit=2)
    assert not third.is_new
    # A late word of the driver changes nothing.
    ending = Ending(ok=True)
    assert not await store.move_statement(
        repl.id, StatementNumber(0), Event.FINISHED, at=NOW, ending=ending
    )
    assert await store.close_repl(repl.id, at=NOW, reason=None, ending=CLOSED) == []
    assert await store.close_repl(repl.id, at=NOW, reason=None, ending=CLOSED) is None


async def test_the_end_of_a_session_closes_its_repls(store: Store) -> None:
    first = await acquire(store)
    await added_to(store, first.session)
    second = await acquire(store, after=1)
    waits = await store.add_statement(statement(second), claim=True)
    assert waits is not None
    ended = await end_session(store, first.session.id, at=NOW, end=with_end())
    assert ended is not None
    assert [one.repl for one in ended[1]] == [second.handle.repl]
    found = await store.repls_of_session(first.session.id)
    assert [(one.phase, handle and handle.id) for one, handle in found] == [
        (Phase.CLOSED, first.handle.id),
        (Phase.CLOSED, second.handle.id),
    ]
    await store.remove_session(first.session.id)
    assert await store.high_concurrency_session(first.handle.id) is None


async def test_a_plain_session_has_one_repl_and_no_handle(store: Store) -> None:
    session = await added(store, phase=SessionPhase.READY)
    [(repl, handle)] = await store.repls_of_session(session.id)
    assert (repl.id, repl.phase, handle) == (session.first_repl, Phase.OPEN, None)


async def test_handles_are_listed_for_their_creator(store: Store) -> None:
    acquired = [await acquire(store) for _ in range(3)]
    first = acquired[0].handle
    page, total = await store.list_high_concurrency_sessions(
        first.lakehouse, first.creator, skip=0, top=10
    )
    assert total == 1
    assert [one[0] for one in page] == [first]
