"""Sessions that wait for room: as many as may, in order, whatever happens at the same time."""

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.world import World, with_rules
from livius.adapters.capacity import MachineCapacity
from livius.adapters.store import SqlStore
from livius.domain.driver import Event, Goal, Phase
from livius.domain.errors import Exhausted
from livius.domain.ids import SessionId
from livius.domain.session import Phase as SessionPhase
from livius.domain.session import Session
from livius.ports.capacity import Occupancy
from livius.usecases.context import Context
from livius.usecases.sessions import CreateSession, SessionView, create_session
from support.records import NOW, acquire, make, with_end

ROOM, QUEUE = 3, 5


def queue_it(_found: Occupancy) -> bool:
    return False


def has_room(found: Occupancy) -> bool:
    return found.drivers < ROOM


def always(_found: Occupancy) -> bool:
    return True


async def queued(store: SqlStore, *, after: int = 0) -> Session:
    session, driver = make(created_at=NOW + timedelta(seconds=after))
    return await store.add_session(session, driver, admit=queue_it)


async def order(store: SqlStore) -> list[SessionId]:
    return list((await store.queue())[0])


async def end(store: SqlStore, session: Session) -> None:
    await store.request_stop(session.id, end_reason="deleted")
    await store.move_driver(session.driver, Event.END_BEGUN, at=NOW)
    await store.end_driver(session.driver, at=NOW, reason=None, end=with_end())


@dataclass
class Burst:
    world: World
    context: Context

    async def create(self) -> SessionView:
        self.world.clock.advance(timedelta(milliseconds=1))
        wanted = CreateSession(conf={"spark.mine.password": "x"})
        return await create_session(self.context, self.world.admin, *self.world.place, wanted)

    async def many(self, number: int) -> tuple[list[SessionView], list[Exhausted]]:
        done = await asyncio.gather(*(self.create() for _ in range(number)), return_exceptions=True)
        made = [one for one in done if isinstance(one, SessionView)]
        refused = [one for one in done if isinstance(one, Exhausted)]
        assert len(made) + len(refused) == number, done
        return made, refused


@pytest.fixture
async def burst(store: SqlStore, tmp_path: Path) -> Burst:
    world = await World(store=store).begin()
    world.room.real = MachineCapacity(
        max_drivers=ROOM, per_driver=0, reserve=0, disk=tmp_path, disk_reserve=0
    )
    return Burst(world, with_rules(world, queue=QUEUE))


@pytest.mark.timeout(120)  # fifty serializable transactions at once conflict for a while
async def test_of_fifty_at_once_three_start_five_wait_and_the_rest_is_refused(
    burst: Burst,
) -> None:
    made, refused = await burst.many(50)
    assert (len(made), len(refused)) == (ROOM + QUEUE, 50 - ROOM - QUEUE)
    store = burst.world.store
    drivers = await store.live_drivers()
    assert sum(one.phase is Phase.REQUESTED for one in drivers) == ROOM
    waiting = await order(store)
    assert len(waiting) == QUEUE
    assert {one.session for one in drivers if one.phase is Phase.QUEUED} == set(waiting)
    numbers = f"{ROOM} sessions are in use, and {QUEUE} of at most {QUEUE} wait for room."
    assert {one.message.partition(" Delete")[0] for one in refused} == {numbers}
    assert {one.retry_after for one in refused} == {timedelta(seconds=30)}
    assert set(burst.world.conf_secrets) == {one.session.id for one in made}


async def test_none_overtakes_a_queued_session_though_there_is_room(burst: Burst) -> None:
    made, _ = await burst.many(ROOM + 1)
    store = burst.world.store
    running = next(one.session for one in made if one.queue is None)
    await end(store, running)
    later = await burst.create()
    assert later.queue is not None
    assert (later.queue.place, later.queue.of) == (2, 2)
    assert later.queue.reason == "There is room again: the first one starts now."
    await burst.many(QUEUE - 2)
    assert not (await burst.many(2))[0], "the queue is full, and its first one's place is not free"
    first = (await order(store))[0]
    admitted = await store.admit_next(has_room, at=NOW)
    assert admitted is not None
    assert admitted.session == first
    assert await store.admit_next(has_room, at=NOW) is None
    assert len((await burst.many(2))[0]) == 1, "the queue has a place again"


async def test_those_queued_before_the_queue_was_switched_off_still_come_first(
    burst: Burst,
) -> None:
    await burst.many(ROOM + 1)
    burst.context = with_rules(burst.world, queue=0)
    for session in await burst.world.store.live_sessions():
        if session not in await order(burst.world.store):
            found = await burst.world.store.session(session)
            assert found is not None
            await end(burst.world.store, found)
    _, [refused] = await burst.many(1)
    assert refused.message.startswith("0 sessions are in use, and 1 of at most 0 wait for room.")
    assert await burst.world.store.admit_next(has_room, at=NOW)
    assert len((await burst.many(1))[0]) == 1


async def test_the_first_that_came_starts_first_and_its_start_counts_from_then(
    store: SqlStore,
) -> None:
    second, first = await queued(store, after=1), await queued(store)
    assert await order(store) == [first.id, second.id]
    late = NOW + timedelta(hours=1)
    admitted = await store.admit_next(always, at=late)
    assert admitted is not None
    assert (admitted.session, admitted.phase) == (first.id, Phase.REQUESTED)
    assert admitted.created_at == late
    assert await order(store) == [second.id]
    session = await store.session(first.id)
    assert session is not None
    assert (session.phase, session.created_at) == (SessionPhase.REQUESTED, NOW)


async def test_each_is_admitted_once(store: SqlStore) -> None:
    await check_admissions(store)


async def test_each_is_admitted_once_though_transactions_see_each_other(
    read_committed: SqlStore,
) -> None:
    await check_admissions(read_committed)


async def check_admissions(store: SqlStore) -> None:
    waiting = [(await queued(store, after=n)).id for n in range(4)]
    admitted: list[SessionId | None] = []
    while await order(store):
        done = await asyncio.gather(*(store.admit_next(always, at=NOW) for _ in range(6)))
        admitted += [one.session for one in done if one is not None]
    assert sorted(map(str, admitted)) == sorted(map(str, waiting))


async def test_one_that_is_deleted_in_the_moment_of_its_admission_ends_either_way(
    store: SqlStore,
) -> None:
    await check_deletions(store)


async def test_so_it_does_though_transactions_see_each_other(read_committed: SqlStore) -> None:
    await check_deletions(read_committed)


async def check_deletions(store: SqlStore) -> None:
    for _ in range(10):
        session = await queued(store)
        stopped, admitted = await asyncio.gather(
            store.request_stop(session.id, deleted_at=NOW), store.admit_next(always, at=NOW)
        )
        assert stopped is not None
        driver = await store.driver(session.driver)
        assert driver is not None
        assert driver.goal is Goal.END
        assert driver.phase is (Phase.QUEUED if admitted is None else Phase.REQUESTED)
        assert await order(store) == []
        await end(store, session)
        ended = await store.session(session.id)
        assert ended is not None
        assert ended.phase is SessionPhase.STOPPED


async def test_one_that_leaves_the_queue_takes_no_place_while_it_ends(store: SqlStore) -> None:
    one, other = await queued(store), await queued(store, after=1)
    await store.request_stop(one.id, deleted_at=NOW)
    await store.move_driver(one.driver, Event.END_BEGUN, at=NOW)
    waiting, found = await store.queue()
    assert waiting == [other.id]
    assert found is not None
    assert (found.drivers, found.queued, found.starting) == (0, 1, 0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(4))
async def test_ends_deletions_creates_and_admissions_in_any_order(burst: Burst, seed: int) -> None:
    """Never more drivers than there is room for, none left over, and none overtakes."""
    store, chance = burst.world.store, random.Random(seed)
    came, started = list[SessionId](), list[SessionId]()

    async def admit() -> None:
        admitted = await store.admit_next(has_room, at=NOW)
        if admitted is not None and admitted.session is not None:
            started.append(admitted.session)

    async def create() -> None:
        await burst.many(1)

    for _ in range(12):
        before = await order(store)
        live = await store.live_drivers()
        works: list[Awaitable[None]] = [create() for _ in range(chance.randrange(4))]
        works += [admit() for _ in range(chance.randrange(3))]
        for driver in chance.sample(live, min(len(live), chance.randrange(3))):
            session = await store.session(driver.session) if driver.session else None
            assert session is not None
            works.append(end(store, session))
        chance.shuffle(works)
        await asyncio.gather(*works)
        now = await order(store)
        came += [one for one in now if one not in came]
        assert [one for one in now if one in before] == [one for one in before if one in now]
        drivers = await store.live_drivers()
        assert sum(one.phase is not Phase.QUEUED for one in drivers) <= ROOM
        assert len(now) <= QUEUE
    known = [one for one in started if one in came]
    assert known == sorted(known, key=came.index)
    while await order(store):
        for driver in await store.live_drivers():
            session = await store.session(driver.session) if driver.session else None
            assert session is not None
            if driver.phase is not Phase.QUEUED:
                await end(store, session)
        assert await store.admit_next(has_room, at=NOW)


async def test_a_queued_session_with_room_is_shared(store: SqlStore) -> None:
    first = await acquire(store, admit=queue_it)
    second = await acquire(store, after=1, admit=queue_it)
    assert (first.is_new, second.is_new) == (True, False)
    assert second.session.id == first.session.id
    assert await order(store) == [first.session.id]
