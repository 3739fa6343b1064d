"""The free capacity of the machine."""

from __future__ import annotations

from typing import Protocol


class Capacity(Protocol):
    """Asked before new work is accepted. Any thread may ask."""

    def admit(self, *, drivers: int, starting: int) -> None:
        """Return when one more driver than ``drivers`` fits.

        ``starting`` of these have not taken all of their memory yet.

        Raises:
            Exhausted: it does not fit; the message has the numbers and the next step.
            Unavailable: no driver is started now; the message says why.
        """
        ...

    def check_disk(self) -> None:
        """Return when there is room for the records and outputs of one more statement.

        Raises:
            Unavailable: there is none; the message has the numbers and the next step.
        """
        ...
