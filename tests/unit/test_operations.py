"""Operations run, one after another, and end with a reason whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from fakes.world import World, principal
from livius.domain.errors import Conflict, NotFound, Unavailable
from livius.domain.ids import OperationId, PrincipalId, WorkspaceId, new_id
from livius.domain.lakehouse import Role, Workspace
from livius.domain.operation import TRANSITIONS, Event, Operation, OperationKind, Phase
from livius.reconcile.operations import OperationReconciler, Progress, Result, Runner
from livius.usecases import operations

KIND = OperationKind.PUBLISH_ENVIRONMENT


def test_what_has_ended_stays_as_it_is() -> None:
    assert {phase for phase, row in TRANSITIONS.items() if not row} == {
        Phase.SUCCEEDED,
        Phase.FAILED,
    }


@dataclass
class Work:
    """A runner's work: it does what the test says, and notes what came."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    begun: list[OperationId] = field(default_factory=list)
    undone: list[OperationId] = field(default_factory=list)

    async def __call__(self, operation: Operation, progress: Progress) -> Result:
        self.begun.append(operation.id)
        await progress(30)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.undone.append(operation.id)
            raise
        if self.error is not None:
            raise self.error
        return {"done": operation.item}


@dataclass
class Bench:
    world: World
    work: Work
    reconciler: OperationReconciler

    async def begin(self, item: str = "x", workspace: WorkspaceId | None = None) -> OperationId:
        context = self.world.context
        self.world.clock.advance(timedelta(seconds=1))
        made = operations.new_operation(
            context,
            self.world.admin,
            KIND,
            workspace=workspace or self.world.workspace.id,
            item=item,
        )
        return (await operations.begin_operation(context, made)).id

    async def until(self, operation: OperationId, is_so: Callable[[Operation], bool]) -> Operation:
        async with asyncio.timeout(10):
            while True:
                found = await self.world.store.operation(operation)
                assert found is not None
                if is_so(found):
                    return found
                await asyncio.sleep(0.01)

    async def ended(self, operation: OperationId) -> Operation:
        return await self.until(operation, lambda one: not one.is_live)

    async def running(self, operation: OperationId) -> Operation:
        return await self.until(operation, lambda one: one.percent == 30)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reconciler.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def reconciler(world: World, **runner: Any) -> OperationReconciler:
    return OperationReconciler(
        store=world.store,
        clock=world.clock,
        notifications=world.notifications,
        runners={KIND: Runner(**{"deadline": timedelta(seconds=20), **runner})},
        every=0.05,
    )


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    world, work = await World().begin(), Work()
    yield Bench(world, work, reconciler(world, run=work))
    world.store.close()


async def test_it_runs_and_leaves_its_result(bench: Bench) -> None:
    operation = await bench.begin()
    with pytest.raises(Conflict, match="has not ended"):
        await operations.get_finished(bench.world.context, bench.world.admin, operation)
    async with bench.served():
        assert (await bench.running(operation)).phase is Phase.RUNNING
        bench.work.gate.set()
        done = await bench.ended(operation)
    assert (done.phase, done.percent) == (Phase.SUCCEEDED, 100)
    found = await operations.get_finished(bench.world.context, bench.world.admin, operation)
    assert found.result == {"done": "x"}


async def test_it_waits_for_the_one_before(bench: Bench) -> None:
    first, second = await bench.begin("a"), await bench.begin("b")
    async with bench.served():
        await bench.running(first)
        await asyncio.sleep(0.2)
        assert bench.work.begun == [first]
        bench.work.gate.set()
        await bench.ended(second)
    assert bench.work.begun == [first, second]


async def workspaces(bench: Bench, count: int) -> list[WorkspaceId]:
    made = [WorkspaceId(new_id()) for _ in range(count)]
    for one in made:
        workspace = Workspace(id=one, name=one, created_at=bench.world.clock.now())
        await bench.world.store.add_workspace(workspace, PrincipalId(bench.world.admin.oid))
    return made


async def test_workspaces_take_turns(bench: Bench) -> None:
    one, other, third = await workspaces(bench, 3)
    many = [await bench.begin("a", one) for _ in range(5)]
    few = [await bench.begin("b", other) for _ in range(2)]
    async with bench.served():
        await bench.running(many[0])
        single = await bench.begin("c", third)
        bench.work.gate.set()
        for operation in (*many, *few, single):
            await bench.ended(operation)
    turns = [many[0], few[0], single, many[1], few[1], *many[2:]]
    assert bench.work.begun == turns


async def test_those_that_come_again_and_again_do_not_keep_a_queue_waiting(bench: Bench) -> None:
    queue, *often = await workspaces(bench, 3)
    bench.work.gate.set()
    waiting = [await bench.begin("a", queue) for _ in range(4)]

    async def again_and_again(workspace: WorkspaceId) -> list[OperationId]:
        return [(await bench.ended(await bench.begin("b", workspace))).id for _ in range(6)]

    async with bench.served():
        found = await asyncio.gather(*map(again_and_again, often))
        for operation in waiting:
            await bench.ended(operation)
    last = bench.work.begun.index(waiting[-1])
    for operations_of_one in found:
        places = [bench.work.begun.index(one) for one in operations_of_one]
        for first, second in pairwise(one for one in places if one < last):
            assert set(bench.work.begun[first:second]) & set(waiting)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Unavailable("InsufficientStorage", "The disk is full."), "InsufficientStorage", "full"),
        (ValueError("a secret"), "UnknownError", "log has the details"),
    ],
)
async def test_an_error_is_its_reason(
    bench: Bench, error: Exception, code: str, message: str
) -> None:
    bench.work.error = error
    bench.work.gate.set()
    operation = await bench.begin()
    async with bench.served():
        failed = await bench.ended(operation)
        bench.work.error = None
        assert (await bench.ended(await bench.begin())).phase is Phase.SUCCEEDED
    assert (failed.phase, failed.error_code) == (Phase.FAILED, code)
    assert message in (failed.error_message or "")
    with pytest.raises(Conflict, match=message):
        await operations.get_finished(bench.world.context, bench.world.admin, operation)


async def test_a_cancel_undoes_it_first(bench: Bench) -> None:
    first, second = await bench.begin("a"), await bench.begin("b")
    store = bench.world.store
    async with bench.served():
        await bench.running(first)
        for one in (first, second):
            assert await store.cancel_operation(one, at=bench.world.clock.now())
        ends = [await bench.ended(one) for one in (first, second)]
    assert [end.error_code for end in ends] == ["OperationCancelled"] * 2
    assert bench.work.begun == bench.work.undone == [first]


async def test_what_undoes_a_cancelled_one_is_not_cut_off(bench: Bench) -> None:
    async def slow_to_undo(operation: Operation, progress: Progress) -> Result:
        try:
            return await bench.work(operation, progress)
        except asyncio.CancelledError:
            await asyncio.sleep(0.3)  # meanwhile the reconciler looks several times
            bench.work.undone.append(operation.id)
            raise

    bench.reconciler = reconciler(bench.world, run=slow_to_undo)
    operation = await bench.begin()
    async with bench.served():
        await bench.running(operation)
        await bench.world.store.cancel_operation(operation, at=bench.world.clock.now())
        ended = await bench.ended(operation)
    assert ended.error_code == "OperationCancelled"
    assert bench.work.undone == [operation, operation]


async def test_it_has_a_deadline(bench: Bench) -> None:
    bench.reconciler = reconciler(bench.world, run=bench.work, deadline=timedelta(seconds=1))
    operation = await bench.begin()
    async with bench.served():
        failed = await bench.ended(operation)
    assert failed.error_code == "OperationTimedOut"
    assert bench.work.undone == [operation]


async def test_one_of_a_killed_gateway_fails_with_a_reason(bench: Bench) -> None:
    operation = await bench.begin()
    await bench.world.store.move_operation(operation, Event.STARTED, at=bench.world.clock.now())
    async with bench.served():
        failed = await bench.ended(operation)
        assert failed.error_code == "OperationInterrupted"
    assert bench.work.begun == []


async def test_one_of_a_killed_gateway_goes_on_if_it_can(bench: Bench) -> None:
    bench.reconciler = reconciler(bench.world, run=bench.work, recover=bench.work)
    operation = await bench.begin()
    async with bench.served():
        await bench.running(operation)
    assert bench.work.undone == [operation]
    bench.work.gate.set()
    bench.reconciler = reconciler(bench.world, run=bench.work, recover=bench.work)
    async with bench.served():
        assert (await bench.ended(operation)).phase is Phase.SUCCEEDED


async def test_only_the_workspaces_members_see_it(bench: Bench) -> None:
    operation = await bench.begin()
    context = bench.world.context
    viewer = await bench.world.member(Role.VIEWER)
    assert (await operations.get_operation(context, viewer, operation)).id == operation
    stranger = principal("Eve")
    with pytest.raises(NotFound, match="no operation"):
        await operations.get_operation(context, stranger, operation)


async def test_housekeeping_removes_old_ones(bench: Bench) -> None:
    operation = await bench.begin()
    bench.work.gate.set()
    async with bench.served():
        await bench.ended(operation)
    housekeeping = bench.world.housekeeping()
    await housekeeping.forget()
    assert await bench.world.store.operation(operation) is not None
    bench.world.clock.advance(housekeeping.retention + timedelta(seconds=1))
    await housekeeping.forget()
    assert await bench.world.store.operation(operation) is None
