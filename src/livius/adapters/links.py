"""The links that this process holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from livius.domain.ids import DriverId
from livius.domain.pace import Pace
from livius.ports.clock import Clock
from livius_agent.wire import FromGateway

_DIALS_A_SECOND: Final = 2.0
_DIALS_AT_ONCE: Final = 20.0


@dataclass(slots=True)
class _Link:
    send: Callable[[FromGateway], None]
    close: Callable[[], None]
    is_open: bool = False


class LinkTable:
    """Implements `livius.ports.links.Links`; `api/driver` puts its sockets in.

    A driver has one link at a time: a new one closes the old one, which may be half-open.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._links: dict[DriverId, _Link] = {}
        self._heard: dict[DriverId, float] = {}
        self._dials: dict[DriverId, Pace] = {}

    def admits(self, driver: DriverId) -> bool:
        """Tell whether the driver may open another link now: none dials in all the time."""
        pace = self._dials.setdefault(driver, Pace(rate=_DIALS_A_SECOND, burst=_DIALS_AT_ONCE))
        return not pace.spend(1, now=self._clock.monotonic())

    def add(
        self, driver: DriverId, send: Callable[[FromGateway], None], close: Callable[[], None]
    ) -> object:
        """Take a new link, not yet open, and return its token for `opened` and `drop`."""
        self.close(driver)
        link = self._links[driver] = _Link(send, close)
        return link

    def opened(self, driver: DriverId, token: object) -> None:
        """The welcome is on its way: from now on messages may be sent."""
        link = self._links.get(driver)
        if link is token and link is not None:
            link.is_open = True

    def heard(self, driver: DriverId) -> None:
        """Note a sign of life."""
        self._heard[driver] = self._clock.monotonic()

    def drop(self, driver: DriverId, token: object) -> None:
        """Forget a link that ended, unless a newer one has taken its place."""
        if self._links.get(driver) is token:
            del self._links[driver]

    def send(self, driver: DriverId, message: FromGateway) -> bool:
        """See the port."""
        link = self._links.get(driver)
        if link is None or not link.is_open:
            return False
        link.send(message)
        return True

    def is_open(self, driver: DriverId) -> bool:
        """See the port."""
        link = self._links.get(driver)
        return link is not None and link.is_open

    def __len__(self) -> int:
        """Return how many links are open."""
        return sum(link.is_open for link in self._links.values())

    def last_heard(self, driver: DriverId) -> float | None:
        """See the port."""
        return self._heard.get(driver)

    def close(self, driver: DriverId) -> None:
        """See the port."""
        link = self._links.pop(driver, None)
        if link is not None:
            link.close()

    def forget(self, driver: DriverId) -> None:
        """See the port."""
        self.close(driver)
        self._heard.pop(driver, None)
        self._dials.pop(driver, None)
