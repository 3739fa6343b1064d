"""What the machine can still carry."""

from __future__ import annotations

from typing import Protocol


class Capacity(Protocol):
    """Asked before a session is accepted."""

    async def check(self, *, drivers: int) -> None:
        """Return when one more driver than ``drivers`` fits.

        Raises:
            Exhausted: it does not fit; the message has the numbers and what to do.
        """
        ...
