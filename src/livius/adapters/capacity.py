"""The free capacity of this machine: drivers and memory."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Final

import psutil

from livius.domain.errors import Exhausted, Unavailable
from livius.domain.messages import Message
from livius.ports.capacity import Occupancy

_RETRY_AFTER: Final = timedelta(seconds=30)
_MEBIBYTE: Final = 1024 * 1024


class MachineCapacity:
    """Implements `livius.ports.capacity.Capacity`.

    ``per_driver`` and the reserves are bytes; ``disk`` is a folder on the disk in question. A
    starting driver takes its memory gradually, so until it is ready all of it counts as reserved,
    in addition to the memory in use.
    """

    def __init__(
        self, *, max_drivers: int, per_driver: int, reserve: int, disk: Path, disk_reserve: int
    ) -> None:
        self._max_drivers = max_drivers
        self._disk = disk
        self._disk_reserve = disk_reserve
        self._per_driver = per_driver
        self._reserve = reserve
        self._closed = False

    def close(self) -> None:
        """Refuse all further drivers, so that the end of all sessions can complete."""
        self._closed = True

    def admit(self, found: Occupancy) -> None:
        """See the port."""
        if self._closed:
            raise Unavailable(
                "ServerStopping",
                Message(
                    "The server is shutting down and starts no session. Try again once it is back."
                ),
                retry_after=_RETRY_AFTER,
            )
        self.check_disk()
        if found.drivers >= self._max_drivers:
            raise Exhausted(
                "TooManyRequestsForCapacity",
                Message(
                    "%(drivers)s of %(most)s sessions are in use. Delete one, or wait until one has"
                    " been idle for its timeout; the operator can raise LIVIUS_MAX_DRIVERS.",
                    drivers=found.drivers,
                    most=self._max_drivers,
                ),
                retry_after=_RETRY_AFTER,
            )
        needed = self._per_driver + self._reserve
        free = max(0, self._free(found.starting - found.pooled))
        if free < needed and not found.has_driver:
            raise Exhausted(
                "TooManyRequestsForCapacity",
                Message(
                    "A session needs %(needed)s MB of free memory and the server has %(free)s MB, "
                    "not counting what it has promised to %(starting)s sessions that are starting. "
                    "Delete a session, or try again later.",
                    needed=needed // _MEBIBYTE,
                    free=free // _MEBIBYTE,
                    starting=found.starting,
                ),
                retry_after=_RETRY_AFTER,
            )

    def has_room(self, *, more: int, starting: int) -> bool:
        """See the port."""
        return not self._closed and (
            self._free(starting) >= more * self._per_driver + self._reserve
        )

    def _free(self, starting: int) -> int:
        return psutil.virtual_memory().available - starting * self._per_driver

    def check_history_server(self, megabytes: int) -> None:
        """Return when Spark's History Server has room beside the drivers.

        Raises:
            Unavailable: it has none; the message has the numbers and the next step.
        """
        self.check_disk()
        needed, free = megabytes + self._reserve // _MEBIBYTE, self._free(0) // _MEBIBYTE
        if free < needed:
            raise Unavailable(
                "InsufficientMemory",
                Message(
                    "Spark's History Server needs %(needed)s MB of free memory, and the server has "
                    "%(free)s MB. Delete a session, or try again later.",
                    needed=needed,
                    free=free,
                ),
                retry_after=_RETRY_AFTER,
            )

    def check_disk(self) -> None:
        """See the port."""
        free = shutil.disk_usage(self._disk).free
        if free < self._disk_reserve:
            raise Unavailable(
                "InsufficientStorage",
                Message(
                    "The server's disk has %(free)s MB left and keeps %(reserve)s MB free, so it "
                    "takes no new work. Try again later; the operator makes room or lowers "
                    "LIVIUS_DISK_RESERVE.",
                    free=free // _MEBIBYTE,
                    reserve=self._disk_reserve // _MEBIBYTE,
                ),
                retry_after=_RETRY_AFTER,
            )
