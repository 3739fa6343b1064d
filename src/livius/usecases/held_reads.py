"""Reads of a record that is on its way to another state, held until it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from livius.ports.notifications import Topic
from livius.usecases.context import Context

Record = TypeVar("Record")


async def read_settled(
    context: Context,
    read: Callable[[], Awaitable[Record]],
    *,
    topic: Callable[[Record], Topic],
    is_on_the_way: Callable[[Record], bool],
    long_poll: timedelta,
) -> Record:
    """Return a record; while it is on its way, only after up to ``long_poll``.

    Each step is a change; only the last one is worth an answer.
    """
    found = await read()
    loop = asyncio.get_running_loop()
    end = loop.time() + long_poll.total_seconds()
    while is_on_the_way(found) and (left := end - loop.time()) > 0:
        with context.notifications.watch(topic(found)) as watch:
            # The watch begins before the read, so that no change is missed between them.
            found = await read()
            if not watch.is_held:
                break
            if is_on_the_way(found):
                await watch.changed(left)
        found = await read()
    return found
