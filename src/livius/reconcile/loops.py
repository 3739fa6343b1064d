"""What has to be looked at from time to time: idle sessions, orphans, what is past keeping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from livius.domain.session import Session
from livius.ports.clock import Clock
from livius.ports.launcher import Launcher
from livius.ports.outputs import Outputs
from livius.ports.store import Store
from livius.ports.wake import Wake
from livius.reconcile.sessions import end_orphans

_IDLE_EVERY: Final = 1.0
_PLACES_EVERY: Final = 2.0
_ORPHANS_EVERY: Final = 60.0
_COUNTS_EVERY: Final = 60.0
_RETENTION_EVERY: Final = 600.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """The loops.

    ``retention`` is how long an ended session stays readable. ``settle`` writes down what was only
    counted for a while.
    """

    store: Store
    outputs: Outputs
    launcher: Launcher
    clock: Clock
    wake: Wake
    settle: Callable[[], Awaitable[None]]
    retention: timedelta
    told_of: list[object] = field(default_factory=list, init=False)
    """The version of the places that the launcher knows."""

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop(self.end_idle, _IDLE_EVERY), name="idle")
            group.create_task(self._loop(self.end_unwanted, _IDLE_EVERY), name="unwanted")
            group.create_task(self._loop(self.tell_places, _PLACES_EVERY), name="places")
            group.create_task(self._loop(self.end_orphans, _ORPHANS_EVERY), name="orphans")
            group.create_task(self._loop(self.settle, _COUNTS_EVERY), name="counts")
            group.create_task(self._loop(self.forget, _RETENTION_EVERY), name="retention")

    async def _loop(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            try:
                await work()
            except Exception:  # noqa: BLE001 - the outermost frame of a loop: log, go on
                _log.exception("housekeeping_failed", work=work.__name__)
            await asyncio.sleep(seconds)

    async def end_idle(self) -> None:
        """End sessions that idled for too long. A busy one never does."""
        for key in await self.store.stop_idle(now=self.clock.now(), reason=_idle_reason):
            self.wake(key)

    async def end_unwanted(self) -> None:
        """See to sessions that a command has ended in the records: it can't wake us."""
        for key in await self.store.unwanted_sessions():
            self.wake(key)

    async def tell_places(self) -> None:
        """Let running drivers resolve the URLs of lakehouses made, renamed or opened meanwhile.

        A command may have made the change, so nobody tells us. What is looked at all the time is
        one number; places and files are only where it has changed.
        """
        version = await self.store.places_version()
        if self.told_of != [version]:
            await self.launcher.tell_places(await self.store.places())
            self.told_of[:] = [version]

    async def end_orphans(self) -> None:
        """End drivers that nobody wants."""
        await end_orphans(self.store, self.launcher)

    async def forget(self) -> None:
        """Delete what is past keeping; an ended session goes with outputs and logs."""
        await self.store.forget_audit(self.clock.now())
        await self.store.forget_visits(self.clock.now())
        for session in await self.store.ended_before(self.clock.now() - self.retention):
            await self.outputs.remove(session.id)
            await self.launcher.remove(session.driver)
            await self.store.remove_session(session.id)


def _idle_reason(session: Session) -> str:
    minutes = session.idle_timeout.total_seconds() / 60
    return f"The session was idle for {minutes:g} minutes."
