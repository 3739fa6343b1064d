"""The work queue's promises."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from livius.reconcile.workqueue import WorkQueue


@contextlib.asynccontextmanager
async def running(step: Callable[[str], Awaitable[float | None]]) -> AsyncIterator[WorkQueue[str]]:
    queue = WorkQueue(step)
    task = asyncio.get_running_loop().create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_many_wakes_before_a_step_are_one_step() -> None:
    steps: list[str] = []
    last = asyncio.Event()

    async def step(key: str) -> None:
        steps.append(key)
        await asyncio.sleep(0)
        if key == "z":
            last.set()

    async with running(step) as queue:
        for _ in range(5):
            queue.wake("a")
        # A second step would have begun by the time that so many keys have had theirs.
        for key in "bcdefghz":
            queue.wake(key)
            while key not in steps:
                await asyncio.sleep(0)
        await last.wait()
    assert steps.count("a") == 1


async def test_a_wake_during_a_step_is_not_lost() -> None:
    steps = 0
    entered, go_on, twice = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def step(_key: str) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            twice.set()
        entered.set()
        await go_on.wait()

    async with running(step) as queue:
        queue.wake("a")
        await entered.wait()
        queue.wake("a")
        go_on.set()
        await asyncio.wait_for(twice.wait(), 5)


async def test_one_key_is_never_stepped_twice_at_once_and_others_go_on() -> None:
    at_work: set[str] = set()
    done: list[str] = []
    block = asyncio.Event()
    both = asyncio.Event()

    async def step(key: str) -> None:
        assert key not in at_work
        at_work.add(key)
        if key == "slow":
            await block.wait()
        at_work.discard(key)
        done.append(key)
        if set(done) == {"slow", "quick"}:
            both.set()

    async with running(step) as queue:
        queue.wake("slow")
        queue.wake("quick")
        while "quick" not in done:
            queue.wake("slow")
            await asyncio.sleep(0)
        block.set()
        await asyncio.wait_for(both.wait(), 5)


async def test_a_step_that_fails_is_tried_again() -> None:
    tries = 0
    succeeded = asyncio.Event()

    async def step(_key: str) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("the first time")
        succeeded.set()

    async with running(step) as queue:
        queue.wake("a")
        await asyncio.wait_for(succeeded.wait(), 5)
    assert tries == 2


async def test_a_step_may_ask_to_be_called_again() -> None:
    answers = iter([0.0, 0.01, None])
    steps = 0
    last = asyncio.Event()

    async def step(_key: str) -> float | None:
        nonlocal steps
        steps += 1
        answer = next(answers)
        if answer is None:
            last.set()
        return answer

    async with running(step) as queue:
        queue.wake("a")
        await asyncio.wait_for(last.wait(), 5)
    assert steps == 3
