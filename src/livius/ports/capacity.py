"""The free capacity of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """What a transaction finds that is to give a session a driver.

    ``drivers`` counts those of sessions, ``queued`` the sessions that wait for one, ``starting``
    the drivers that have not taken all of their memory yet, ``pooled`` those of the pool, which can
    be given up. ``has_lakehouse`` and ``has_environment`` tell that the session's are still there.
    ``has_driver`` tells that the session can have one of the pool's, which takes no more memory.
    """

    drivers: int
    queued: int
    starting: int
    pooled: int
    has_lakehouse: bool
    has_driver: bool
    has_environment: bool = True


class Capacity(Protocol):
    """Asked before new work is accepted. Any thread may ask."""

    def admit(self, found: Occupancy) -> None:
        """Return when one more session fits.

        Raises:
            Exhausted: it does not fit; the message has the numbers and the next step.
            Unavailable: no driver is started now; the message says why.
        """
        ...

    def has_room(self, *, more: int, starting: int) -> bool:
        """Tell whether memory is enough for more drivers, besides those that are starting."""
        ...

    def check_disk(self) -> None:
        """Return when there is room for the records and outputs of one more statement.

        Raises:
            Unavailable: there is none; the message has the numbers and the next step.
        """
        ...
