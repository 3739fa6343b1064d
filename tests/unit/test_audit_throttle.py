"""Frequent entries are counted, so that the log stays small."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from fakes.clock import FakeClock
from fakes.store import transactions
from livius.adapters.store import SqlStore
from livius.domain.audit import Action, ActorKind, AuditEntry
from livius.domain.errors import Unavailable
from livius.ports.store import AuditQuery
from livius.usecases.audit_throttle import ORIGIN, AuditThrottle, Origin, act

HOUR = timedelta(hours=1)


async def written(store: SqlStore) -> list[AuditEntry]:
    found = await store.audit(AuditQuery(limit=10_000))
    return [record.entry for record in reversed(found)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def refused(clock: FakeClock, target: str, address: str = "192.0.2.1") -> AuditEntry:
    ORIGIN.set(Origin(address))
    return act(clock, Action.REQUEST_REFUSE, target, result="InsufficientScopes")


async def test_the_first_is_written_at_once_and_equal_ones_as_one_count(
    store: SqlStore, clock: FakeClock
) -> None:
    throttle = AuditThrottle(store, clock)
    for _ in range(1000):
        await throttle.note(refused(clock, "GET /x"))
    assert [one.times for one in await written(store)] == [1]
    await throttle.settle()
    assert len(await written(store)) == 1
    clock.advance(HOUR)
    await throttle.settle()
    assert [one.times for one in await written(store)] == [1, 999]
    await throttle.settle()
    assert len(await written(store)) == 2
    await throttle.note(refused(clock, "GET /x"))
    assert [one.times for one in await written(store)] == [1, 999, 1]


async def test_a_count_is_also_written_before_the_next_first_one(
    store: SqlStore, clock: FakeClock
) -> None:
    throttle = AuditThrottle(store, clock)
    await throttle.note(refused(clock, "GET /x"))
    await throttle.note(refused(clock, "GET /x"))
    clock.advance(HOUR)
    await throttle.note(refused(clock, "GET /x"))
    assert [one.times for one in await written(store)] == [1, 1, 1]


async def test_what_differs_has_a_line_of_its_own(store: SqlStore, clock: FakeClock) -> None:
    throttle = AuditThrottle(store, clock)
    await throttle.note(refused(clock, "GET /x"))
    await throttle.note(refused(clock, "GET /y"))
    await throttle.note(refused(clock, "GET /x", "192.0.2.2"))
    assert [one.target for one in await written(store)] == ["GET /x", "GET /y", "GET /x"]


async def test_who_makes_too_many_different_ones_is_told_without_targets(
    store: SqlStore, clock: FakeClock
) -> None:
    throttle = AuditThrottle(store, clock, most_of_one=5)
    for number in range(500):
        await throttle.note(refused(clock, f"GET /{number}"))
    await throttle.note(refused(clock, "GET /x", "192.0.2.2"))
    lines = await written(store)
    assert [one.target for one in lines] == [*(f"GET /{n}" for n in range(5)), None, "GET /x"]
    await throttle.settle(everything=True)
    assert sum(one.times for one in await written(store)) == 501


async def test_ever_new_callers_are_told_without_names(store: SqlStore, clock: FakeClock) -> None:
    throttle = AuditThrottle(store, clock, most=20)
    for number in range(5000):
        await throttle.note(refused(clock, "GET /x", f"2001:db8::{number:x}"))
    lines = await written(store)
    assert len(lines) == 21
    by = lines[-1].actor
    assert by is not None
    assert (by.kind, by.address) == (ActorKind.UNPROVEN, None)
    await throttle.settle(everything=True)
    assert sum(one.times for one in await written(store)) == 5000
    await throttle.note(refused(clock, "GET /x", "2001:db8::1"))
    newest = (await written(store))[-1].actor
    assert newest is not None
    assert newest.address == "2001:db8::1"


class FullDisk(SqlStore):
    """Refuses entries while ``full`` is set, a moment after it was asked."""

    full = True

    async def note(self, *entries: AuditEntry) -> None:
        await asyncio.sleep(0)
        if self.full:
            raise Unavailable("InsufficientStorage", "The disk is full.")
        await super().note(*entries)


@pytest.fixture
def full() -> Iterator[FullDisk]:
    made = FullDisk(transactions())
    yield made
    made.close()


async def test_what_cannot_be_written_is_refused_each_time_and_to_everybody_at_once(
    full: FullDisk, clock: FakeClock
) -> None:
    store = full
    throttle = AuditThrottle(store, clock)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await throttle.note(refused(clock, "GET /x"))
    together = (throttle.note(refused(clock, "GET /x")) for _ in range(5))
    ended = await asyncio.gather(*together, return_exceptions=True)
    assert [type(one) for one in ended] == [Unavailable] * 5
    store.full = False
    await throttle.note(refused(clock, "GET /x"))
    await throttle.settle(everything=True)
    assert [one.times for one in await written(store)] == [1]


async def test_a_count_that_cannot_be_written_is_written_later(
    full: FullDisk, clock: FakeClock
) -> None:
    store = full
    store.full = False
    throttle = AuditThrottle(store, clock)
    for _ in range(4):
        await throttle.note(refused(clock, "GET /x"))
    clock.advance(HOUR)
    store.full = True
    with pytest.raises(Unavailable):
        await throttle.settle()
    with pytest.raises(Unavailable):
        await throttle.note(refused(clock, "GET /x"))
    store.full = False
    await throttle.settle()
    assert [one.times for one in await written(store)] == [1, 3]


def test_long_texts_are_cut(clock: FakeClock) -> None:
    said = act(clock, Action.SECRET_READ, "x" * 10_000, detail="y" * 10_000)
    assert len(said.target or "") == len(said.detail or "") == 300
