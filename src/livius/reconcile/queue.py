"""The queue of sessions that wait for room: the first one starts as soon as there is some."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from livius.domain.errors import Exhausted, Unavailable
from livius.domain.ids import DriverId, SessionId
from livius.ports.capacity import Capacity, Occupancy
from livius.ports.clock import Clock
from livius.ports.notifications import Notifications
from livius.ports.store import Store

_LOOK_EVERY: Final = 0.5
"""Seconds: that memory or disk has become free is not notified."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class SessionQueue:
    """Admits queued sessions in the order in which they came.

    ``wake`` has the reconciler look at a driver. Every change of the order notifies the sessions.
    ``every`` is the longest time between two looks.
    """

    store: Store
    capacity: Capacity
    clock: Clock
    notifications: Notifications
    wake: Callable[[DriverId], None]
    every: float = _LOOK_EVERY
    _room_made: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _seen: Sequence[SessionId] = field(default=(), init=False)

    def room_made(self) -> None:
        """Have it look at once: a driver has ended."""
        self._room_made.set()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            self._room_made.clear()
            await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.every):
                    await self._room_made.wait()

    async def look(self) -> None:
        """Admit as many as there is room for."""
        queue, _found = await self.store.queue()
        if queue:
            while admitted := await self.store.admit_next(self._has_room, at=self.clock.now()):
                _log.info("session_admitted", session=admitted.session, driver=admitted.id)
                self.wake(admitted.id)
            queue, _found = await self.store.queue()
        if queue != self._seen:
            for session in {*self._seen, *queue}:
                self.notifications.notify(session)
            self._seen = queue

    def _has_room(self, found: Occupancy) -> bool:
        try:
            self.capacity.admit(found)
        except (Exhausted, Unavailable):  # the session's page and body say why
            return False
        return True
