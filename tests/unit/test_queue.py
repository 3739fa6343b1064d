"""What becomes of a session that waits for room."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.world import World, with_rules
from livius.adapters.capacity import MachineCapacity
from livius.domain.driver import Phase as DriverPhase
from livius.domain.session import EndCause, Phase, Session
from livius.reconcile.queue import SessionQueue
from livius.usecases.context import Context
from livius.usecases.high_concurrency import acquire
from livius.usecases.queue import QueuePlace
from livius.usecases.sessions import (
    CreateSession,
    create_session,
    delete_session,
    get_session,
    list_sessions,
)


@dataclass
class Queued:
    """A world in which one session may have a driver, and three may wait."""

    world: World
    context: Context
    queue: SessionQueue
    capacity: MachineCapacity

    async def create(self, **conf: str) -> Session:
        self.world.clock.advance(timedelta(seconds=1))
        wanted = CreateSession(conf=conf)
        view = await create_session(self.context, self.world.admin, *self.world.place, wanted)
        return view.session

    async def place(self, session: Session) -> QueuePlace | None:
        path = self.world.path(session.id)
        return (await get_session(self.context, self.world.admin, path)).queue

    async def delete(self, session: Session) -> None:
        await delete_session(self.context, self.world.admin, self.world.path(session.id))
        await self.world.settle(session.id)

    async def phases(self, session: Session) -> tuple[Phase, DriverPhase]:
        found = await self.world.store.session(session.id)
        assert found is not None
        driver = await self.world.store.driver(found.driver)
        assert driver is not None
        return found.phase, driver.phase


def new_queue(world: World, capacity: MachineCapacity) -> SessionQueue:
    return SessionQueue(
        store=world.store,
        capacity=capacity,
        clock=world.clock,
        notifications=world.notifications,
        wake=world.woken.append,
        every=3600,
    )


@pytest.fixture
async def queued(tmp_path: Path) -> Queued:
    world = await World().begin()
    capacity = MachineCapacity(
        max_drivers=1, per_driver=0, reserve=0, disk=tmp_path, disk_reserve=0
    )
    world.room.real = capacity
    queue = new_queue(world, capacity)
    world.room_made = queue.room_made
    world.reconciler = world.restarted_reconciler()
    return Queued(world, with_rules(world, queue=3), queue, capacity)


async def test_it_has_a_place_and_a_reason_and_nothing_is_launched(queued: Queued) -> None:
    first, second, third = [await queued.create() for _ in range(3)]
    assert await queued.place(first) is None
    place = await queued.place(third)
    assert place is not None
    assert place.position == "2 of 2"
    assert place.reason.startswith("1 of 1 sessions are in use.")
    for session in (second, third):
        await queued.world.settle(session.id)
        assert await queued.phases(session) == (Phase.REQUESTED, DriverPhase.QUEUED)
    assert queued.world.launcher.launches == 0
    views, _ = await list_sessions(
        queued.context, queued.world.admin, *queued.world.place, skip=0, top=9
    )
    shown = {view.session.id: view.queue and view.queue.place for view in views}
    assert shown == {first.id: None, second.id: 1, third.id: 2}


async def test_the_end_of_a_driver_admits_the_next_at_once(queued: Queued) -> None:
    first, second, third = [await queued.create() for _ in range(3)]
    world = queued.world
    with world.notifications.watch(third.id) as watch:
        running = asyncio.create_task(queued.queue.run())
        async with asyncio.timeout(10):  # it looks by itself after an hour
            await queued.delete(first)
            while second.driver not in world.woken[3:]:
                await asyncio.sleep(0)
            await watch.changed(5)
        running.cancel()
    place = await queued.place(third)
    assert place is not None
    assert place.position == "1 of 1"
    await world.settle(second.id)
    assert await queued.phases(second) == (Phase.LAUNCHING, DriverPhase.LAUNCHING)


async def test_one_that_is_deleted_in_the_queue_never_runs_and_leaves_no_secret(
    queued: Queued,
) -> None:
    await queued.create()
    second = await queued.create(**{"spark.mine.password": "x"})
    third = await queued.create()
    assert second.id in queued.world.conf_secrets
    await queued.delete(second)
    found = await queued.world.store.session(second.id)
    assert found is not None
    assert (found.phase, found.end_cause) == (Phase.STOPPED, EndCause.DELETED)
    assert second.id not in queued.world.conf_secrets
    place = await queued.place(third)
    assert place is not None
    assert place.position == "1 of 1"
    assert queued.world.launcher.launches == 0


async def test_its_secrets_reach_its_driver_and_those_of_before_a_restart_are_lost(
    queued: Queued,
) -> None:
    first = await queued.create()
    second = await queued.create(**{"spark.mine.password": "x"})
    third = await queued.create(**{"spark.mine.password": "y"})
    await queued.delete(first)
    await queued.queue.look()
    await queued.world.settle(second.id)
    binding = queued.world.launcher.alive[second.driver].binding
    assert binding is not None
    assert binding.conf["spark.mine.password"] == "x"
    # A gateway that was killed has none, and its queue is as it was.
    queued.world.conf_secrets.clear()
    await queued.delete(second)
    await new_queue(queued.world, queued.capacity).look()
    await queued.world.settle(third.id)
    found = await queued.world.store.session(third.id)
    assert found is not None
    assert found.phase is Phase.FAILED
    assert "secrets" in (found.end_reason or "")


async def test_neither_idle_time_nor_the_start_timeout_counts_in_the_queue(queued: Queued) -> None:
    first, second = await queued.create(), await queued.create()
    world = queued.world
    world.clock.advance(timedelta(days=1))
    assert await world.store.stop_idle(now=world.clock.now(), reason=lambda _: "idle") == []
    await queued.delete(first)
    await queued.queue.look()
    await world.settle(second.id)
    world.clock.advance(timedelta(minutes=4))
    await world.settle(second.id)
    assert await queued.phases(second) == (Phase.LAUNCHING, DriverPhase.LAUNCHING)
    world.clock.advance(timedelta(minutes=2))
    await world.settle(second.id)
    found = await world.store.session(second.id)
    assert found is not None
    assert found.end_cause is EndCause.START_TIMED_OUT


async def test_a_gateway_that_ends_admits_none(queued: Queued) -> None:
    first, second = await queued.create(), await queued.create()
    queued.capacity.close()
    await queued.delete(first)
    await queued.queue.look()
    assert await queued.phases(second) == (Phase.REQUESTED, DriverPhase.QUEUED)
    place = await queued.place(second)
    assert place is not None
    assert place.reason.startswith("The server is shutting down")


async def test_high_concurrency_sessions_wait_and_join_one_that_waits(queued: Queued) -> None:
    await queued.create()
    world = queued.world
    views = [
        await acquire(queued.context, world.admin, *world.place, CreateSession(), "t")
        for _ in range(2)
    ]
    assert views[0].session.id == views[1].session.id
    assert [view.queue and view.queue.position for view in views] == ["1 of 1", "1 of 1"]
    assert all(view.is_on_the_way for view in views)
