"""Periodic work: idle sessions, orphans, and records whose retention has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from livius.domain.session import Session
from livius.ports.clock import Clock
from livius.ports.environments import EnvironmentFiles
from livius.ports.launcher import Launcher
from livius.ports.outputs import Outputs
from livius.ports.store import Store
from livius.ports.wake import Wake
from livius.reconcile.drivers import end_orphans
from livius.reconcile.services import Service

_IDLE_EVERY: Final = 1.0
_PLACES_EVERY: Final = 2.0
_ORPHANS_EVERY: Final = 60.0
_VERSIONS_EVERY: Final = 60.0
_COUNTS_EVERY: Final = 60.0
_RETENTION_EVERY: Final = 600.0


@dataclass(slots=True, kw_only=True)
class Housekeeping:
    """The loops.

    ``retention`` is how long an ended session stays readable. ``settle`` writes down what was only
    counted for a while.
    """

    store: Store
    outputs: Outputs
    environments: EnvironmentFiles
    launcher: Launcher
    clock: Clock
    wake: Wake
    settle: Callable[[], Awaitable[None]]
    retention: timedelta
    _sent_places: object = field(default=None, init=False)
    """The version of the places that the launcher has; None before the first."""

    def services(self) -> Sequence[Service]:
        """Return the loops, each a service of its own."""
        return tuple(
            (name, partial(_every, seconds, work))
            for name, work, seconds in (
                ("idle sessions", self.end_idle, _IDLE_EVERY),
                ("unwanted drivers", self.end_unwanted, _IDLE_EVERY),
                ("lakehouse names", self.publish_lakehouse_index, _PLACES_EVERY),
                ("orphaned drivers", self.end_orphans, _ORPHANS_EVERY),
                ("environments", self.forget_versions, _VERSIONS_EVERY),
                ("audit counts", self.settle, _COUNTS_EVERY),
                ("retention", self.forget, _RETENTION_EVERY),
            )
        )

    async def end_idle(self) -> None:
        """End sessions that idled for too long. A busy one never does."""
        for driver in await self.store.stop_idle(now=self.clock.now(), reason=_idle_reason):
            self.wake(driver)

    async def end_unwanted(self) -> None:
        """See to drivers that a command has ended in the records: it can't wake us."""
        for driver in await self.store.drivers_to_end():
            self.wake(driver)

    async def publish_lakehouse_index(self) -> None:
        """Let running drivers resolve the URLs of lakehouses made, renamed or opened meanwhile.

        A command may have made the change, so nobody tells us. What is looked at all the time is
        one number; places and files are only where it has changed.
        """
        version = await self.store.lakehouse_access_version()
        if self._sent_places != version:
            await self.launcher.publish_lakehouse_index(await self.store.lakehouse_access())
            self._sent_places = version

    async def end_orphans(self) -> None:
        """End drivers that nobody wants."""
        await end_orphans(self.store, self.launcher)

    async def forget_versions(self) -> None:
        """Remove versions of environments that nobody can need, and folders without a record."""
        await self.store.forget_versions()
        # Before the records: a folder that appears meanwhile belongs to one.
        found = await self.environments.known()
        versions = await self.store.recorded_versions()
        environments = await self.store.recorded_environments()
        for environment, version in found:
            if version is None and environment not in environments:
                await self.environments.discard_staged(environment)
            elif version is not None and version not in versions:
                await self.environments.discard(environment, version)

    async def forget(self) -> None:
        """Delete records whose retention has ended; an ended session with its outputs and logs."""
        await self.store.forget_audit(self.clock.now())
        await self.store.forget_portal_sessions(self.clock.now())
        await self.store.forget_idempotency_keys(self.clock.now())
        forgotten = self.clock.now() - self.retention
        await self.store.forget_operations(forgotten)
        for session in await self.store.ended_before(forgotten):
            await self.outputs.remove(session.id)
            for driver in await self.store.drivers_of(session.id):
                await self.launcher.remove(driver)
            await self.store.remove_session(session.id)
        for driver in await self.store.pooled_ended_before(forgotten):
            await self.launcher.remove(driver)
            await self.store.forget_pooled(driver)


def _idle_reason(session: Session) -> str:
    minutes = session.idle_timeout.total_seconds() / 60
    return f"The session was idle for {minutes:g} minutes."


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work again and again."""
    while True:
        await work()
        await asyncio.sleep(seconds)
