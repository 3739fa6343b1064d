"""What the machine can still carry."""

from __future__ import annotations

from typing import Protocol


class Capacity(Protocol):
    """Asked before new work is accepted. Any thread may ask."""

    def admit(self, *, drivers: int, starting: int) -> None:
        """Return when one more driver than ``drivers`` fits.

        ``starting`` of these have been promised memory that they have not taken yet.

        Raises:
            Exhausted: it does not fit; the message has the numbers and what to do.
            Unavailable: no driver is started now; the message says why.
        """
        ...

    def check_disk(self) -> None:
        """Return when there is room for the records and outputs of one more statement.

        Raises:
            Unavailable: there is not; the message has the numbers and what to do.
        """
        ...
