"""What this machine can still carry: a number of drivers, and memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import psutil

from livius.domain.errors import Exhausted

_RETRY_AFTER: Final = timedelta(seconds=30)
_MEBIBYTE: Final = 1024 * 1024


class MachineCapacity:
    """Implements `livius.ports.capacity.Capacity`.

    ``per_driver`` and ``reserve`` are bytes. Memory that a starting driver has not taken yet is
    not counted, so the number of drivers is the firm limit.
    """

    def __init__(self, *, max_drivers: int, per_driver: int, reserve: int) -> None:
        self._max_drivers = max_drivers
        self._needed = per_driver + reserve

    async def check(self, *, drivers: int) -> None:
        """See the port."""
        if drivers >= self._max_drivers:
            raise Exhausted(
                "TooManyRequestsForCapacity",
                f"{drivers} of {self._max_drivers} sessions are in use. Delete one, or wait until "
                "one has been idle for its timeout; the operator can raise LIVIUS_MAX_DRIVERS.",
                retry_after=_RETRY_AFTER,
            )
        available = psutil.virtual_memory().available
        if available < self._needed:
            raise Exhausted(
                "TooManyRequestsForCapacity",
                f"A session needs {self._needed // _MEBIBYTE} MB of free memory and the server has "
                f"{available // _MEBIBYTE} MB. Delete a session, or try again later.",
                retry_after=_RETRY_AFTER,
            )
