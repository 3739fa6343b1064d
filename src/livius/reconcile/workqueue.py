"""Steps by key: one at a time for a key, side by side for different ones.

Promises:

* Waking a key many times before its step begins is one step.
* A key that is woken during its step gets another one afterwards: no wake-up is lost.
* A step says after how many seconds it wants to be called again, or None: not until woken.
* A step that raises is logged and tried again, with growing pauses. Other keys don't notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog

Key = TypeVar("Key", bound=str)

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0

_log = structlog.get_logger(__name__)


class WorkQueue(Generic[Key]):
    """Runs ``step(key)`` for woken keys until `run` is cancelled."""

    def __init__(self, step: Callable[[Key], Awaitable[float | None]]) -> None:
        self._step = step
        self._woken: dict[Key, asyncio.Event] = {}
        self._new: asyncio.Queue[Key] = asyncio.Queue()

    def wake(self, key: Key) -> None:
        """Ask for a step. From the event loop's thread only; never blocks."""
        event = self._woken.get(key)
        if event is None:
            event = self._woken[key] = asyncio.Event()
            self._new.put_nowait(key)
        event.set()

    async def run(self) -> None:
        """Work until cancelled. Started again after an error, it takes up the keys of before."""
        self._new = asyncio.Queue()
        for key, event in self._woken.items():
            event.set()
            self._new.put_nowait(key)
        async with asyncio.TaskGroup() as group:
            while True:
                key = await self._new.get()
                group.create_task(self._attend(key), name=f"reconcile-{key}")

    async def _attend(self, key: Key) -> None:
        """Take the key's steps until none is wanted."""
        event = self._woken[key]
        pause = _FIRST_PAUSE
        delay: float | None = 0.0
        while True:
            try:
                async with asyncio.timeout(delay):
                    await event.wait()
            except TimeoutError:
                pass
            event.clear()
            try:
                delay = await self._step(key)
                pause = _FIRST_PAUSE
            except Exception:  # noqa: BLE001 - the outermost frame of a loop: log, go on
                _log.exception("step_failed", key=key, again_in=pause)
                delay, pause = pause, min(pause * 2, _LONGEST_PAUSE)
            # No await between this look and the removal: a wake-up falls before or after both.
            if delay is None and not event.is_set():
                del self._woken[key]
                return
            delay = delay or 0.0
