"""The open links to drivers."""

from __future__ import annotations

from typing import Protocol

from livius.domain.ids import DriverId
from livius_agent.wire import FromGateway


class Link(Protocol):
    """One agent's link. Neither call waits for the agent."""

    def send(self, message: FromGateway) -> None:
        """Queue a message."""
        ...

    def close(self) -> None:
        """Have the link closed."""
        ...


class Links(Protocol):
    """The agents' links that this gateway holds. A driver has one at a time."""

    def admits(self, driver: DriverId) -> bool:
        """Tell whether the driver may open another link now; the rate is limited."""
        ...

    def add(self, driver: DriverId, link: Link) -> object:
        """Take a new link in place of the old one, and return its token for `opened` and `drop`.

        Nothing is sent on it yet. The old one is closed: it may be half-open.
        """
        ...

    def opened(self, driver: DriverId, token: object) -> None:
        """Let messages be sent on a link, unless a newer one has taken its place."""
        ...

    def heard(self, driver: DriverId) -> None:
        """Record a sign of life."""
        ...

    def drop(self, driver: DriverId, token: object) -> None:
        """Forget a link that ended, unless a newer one has taken its place."""
        ...

    def send(self, driver: DriverId, message: FromGateway) -> bool:
        """Queue a message on the driver's link; False where there is none.

        True does not mean that it arrived: after a break, the redial sends lost messages again.
        """
        ...

    def is_open(self, driver: DriverId) -> bool:
        """Tell whether the driver's link is open and past its welcome."""
        ...

    def last_heard(self, driver: DriverId) -> float | None:
        """Return the monotonic moment of the last message, or None: never since our start."""
        ...

    def close(self, driver: DriverId) -> None:
        """Close the driver's link, if there is one."""
        ...

    def forget(self, driver: DriverId) -> None:
        """Forget a driver that has ended."""
        ...
