"""Building the runtimes for which drivers wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from livius.domain.driver import Driver, Phase
from livius.domain.errors import LiviusError
from livius.domain.ids import DriverId
from livius.ports.notifications import Notifications
from livius.ports.runtimes import Runtimes
from livius.ports.store import Store

_LOOK_EVERY: Final = 0.5


@dataclass(slots=True, kw_only=True)
class RuntimeBuilds:
    """Has a runtime built for the first driver of it; the driver is not launched before.

    ``wake`` has the reconciler look at a driver again.
    """

    runtimes: Runtimes
    store: Store
    notifications: Notifications
    wake: Callable[[DriverId], None]
    _wanted: asyncio.Queue[str] = field(default_factory=asyncio.Queue, init=False)
    _queued: set[str] = field(default_factory=set, init=False)
    _failures: dict[DriverId, str] = field(default_factory=dict, init=False)

    def is_built(self, driver: Driver) -> bool:
        """Tell whether a driver can be launched; if not, its runtime is on its way.

        The reconciler looks at the driver again once it is there, or has failed.
        """
        if self.runtimes.is_built(driver.runtime):
            return True
        if driver.runtime not in self._queued:
            self._queued.add(driver.runtime)
            self._wanted.put_nowait(driver.runtime)
        return False

    def failure(self, driver: DriverId) -> str | None:
        """Return why a driver's runtime could not be built, once."""
        return self._failures.pop(driver, None)

    async def run(self) -> None:
        """Build one after the other."""
        while True:
            name = await self._wanted.get()
            try:
                await self._build(name)
            finally:
                self._queued.discard(name)

    async def _build(self, name: str) -> None:
        reason = None
        watching = asyncio.create_task(self._watch(name))
        try:
            await self.runtimes.build(name)
        except LiviusError as error:
            reason = error.message
        finally:
            watching.cancel()
        self._queued.discard(name)
        for driver in await self._waiting(name):
            if reason is not None:
                self._failures[driver.id] = reason
            self.wake(driver.id)

    async def _watch(self, name: str) -> None:
        """Notify the sessions that wait of each step of the build, which their state tells."""
        shown: str | None = None
        while True:
            if (step := self.runtimes.step(name)) != shown:
                shown = step
                for driver in await self._waiting(name):
                    if driver.session is not None:
                        self.notifications.notify(driver.session)
            await asyncio.sleep(_LOOK_EVERY)

    async def _waiting(self, name: str) -> Sequence[Driver]:
        live = await self.store.live_drivers()
        return [one for one in live if one.runtime == name and one.phase is Phase.REQUESTED]
