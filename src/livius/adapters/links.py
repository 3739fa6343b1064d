"""The links that this process holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livius.domain.ids import DriverId
from livius.domain.pace import Pace
from livius.ports.clock import Clock
from livius.ports.links import Link
from livius_agent.wire import FromGateway

_DIALS_A_SECOND: Final = 2.0
_DIALS_AT_ONCE: Final = 20.0


@dataclass(slots=True)
class _Entry:
    link: Link
    is_open: bool = False


class LinkTable:
    """Implements `livius.ports.links.Links`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._links: dict[DriverId, _Entry] = {}
        self._heard: dict[DriverId, float] = {}
        self._dials: dict[DriverId, Pace] = {}

    def admits(self, driver: DriverId) -> bool:
        """See the port."""
        pace = self._dials.setdefault(driver, Pace(rate=_DIALS_A_SECOND, burst=_DIALS_AT_ONCE))
        return not pace.spend(1, now=self._clock.monotonic())

    def add(self, driver: DriverId, link: Link) -> object:
        """See the port."""
        self.close(driver)
        entry = self._links[driver] = _Entry(link)
        return entry

    def opened(self, driver: DriverId, token: object) -> None:
        """See the port."""
        entry = self._links.get(driver)
        if entry is not None and entry is token:
            entry.is_open = True

    def heard(self, driver: DriverId) -> None:
        """See the port."""
        self._heard[driver] = self._clock.monotonic()

    def drop(self, driver: DriverId, token: object) -> None:
        """See the port."""
        if self._links.get(driver) is token:
            del self._links[driver]

    def send(self, driver: DriverId, message: FromGateway) -> bool:
        """See the port."""
        entry = self._links.get(driver)
        if entry is None or not entry.is_open:
            return False
        entry.link.send(message)
        return True

    def is_open(self, driver: DriverId) -> bool:
        """See the port."""
        entry = self._links.get(driver)
        return entry is not None and entry.is_open

    def __len__(self) -> int:
        """Return how many links are open."""
        return sum(entry.is_open for entry in self._links.values())

    def last_heard(self, driver: DriverId) -> float | None:
        """See the port."""
        return self._heard.get(driver)

    def close(self, driver: DriverId) -> None:
        """See the port."""
        entry = self._links.pop(driver, None)
        if entry is not None:
            entry.link.close()

    def forget(self, driver: DriverId) -> None:
        """See the port."""
        self.close(driver)
        self._heard.pop(driver, None)
        self._dials.pop(driver, None)
