"""Work that goes on beside a test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let it run until the block ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(what: Callable[[], Any], seconds: float = 20) -> None:
    """Let others work until something is so."""
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.001)
