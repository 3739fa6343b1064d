"""Ending the asyncio tasks of a cancelled statement.

An interrupt leaves them in the event loop that IPython keeps for ``await``. They would go on in the
next statement that awaits, and what they raise would be its error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

    Tasks: TypeAlias = frozenset[Task[Any]]


def ipythons_loop() -> AbstractEventLoop | None:
    """Return the event loop of ``await``, if there is one by now."""
    helpers = sys.modules.get("IPython.core.async_helpers")
    loop: AbstractEventLoop | None = getattr(helpers, "_asyncio_event_loop", None)
    return None if loop is None or loop.is_closed() else loop


def unfinished(loop: AbstractEventLoop | None) -> Tasks:
    """Return the tasks of a loop that have not ended."""
    if loop is None:
        return frozenset()
    import asyncio

    return frozenset(asyncio.all_tasks(loop))


def end_new(loop: AbstractEventLoop | None, before: Tasks) -> None:
    """Cancel the tasks that were not there before, and return when they have ended."""
    if loop is None or loop.is_running():
        return
    import asyncio

    while mine := unfinished(loop) - before:
        for task in mine:
            task.add_done_callback(_take_error)
            task.cancel()
        try:
            loop.run_until_complete(asyncio.wait(mine))
        except (KeyboardInterrupt, SystemExit):
            continue  # of one of them: asyncio lets these two through


def _take_error(task: Task[Any]) -> None:
    """Look at a task's error, or asyncio prints it."""
    if not task.cancelled():
        task.exception()
