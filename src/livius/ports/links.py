"""The open links to drivers."""

from __future__ import annotations

from typing import Protocol

from livius.domain.ids import DriverId
from livius_agent.wire import FromGateway


class Links(Protocol):
    """Sends to the agents whose links this gateway holds."""

    def send(self, driver: DriverId, message: FromGateway) -> bool:
        """Queue a message on the driver's link; False where there is none.

        True does not mean that it arrived: after a break the redial makes up for what was lost.
        """
        ...

    def is_open(self, driver: DriverId) -> bool:
        """Tell whether the driver's link is open and past its welcome."""
        ...

    def last_heard(self, driver: DriverId) -> float | None:
        """Return the monotonic moment of the last message, or None: never since our start."""
        ...

    def close(self, driver: DriverId) -> None:
        """Drop the driver's link, if there is one."""
        ...

    def forget(self, driver: DriverId) -> None:
        """Drop all that is known of a driver, which has ended."""
        ...
