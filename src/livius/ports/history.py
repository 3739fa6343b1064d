"""Spark's history of applications whose drivers have ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import BinaryIO, Protocol

from livius.domain.ids import DriverId
from livius.ports.logs import SparkAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """Spark's event log of a driver. With ``is_full``, later jobs are missing in it."""

    size: int
    is_full: bool


class EventLogs(Protocol):
    """The event logs of drivers, until the retention ends. Their content is untrusted."""

    async def find(self, driver: DriverId) -> EventLog | None:
        """Return a driver's event log; None if it has none that can be read."""
        ...

    async def zipped(self, driver: DriverId, name: str) -> BinaryIO | None:
        """Return an archive of the event log, as Spark's History Server makes it.

        ``name`` is the log's name in it. The caller closes it.
        """
        ...


class Opening(Enum):
    """How far Spark's History Server is."""

    ABSENT = auto()
    STARTING = auto()
    READY = auto()
    FAILED = auto()


class SparkHistory(Protocol):
    """Spark's History Server. It is started when needed, and ends when it is not."""

    def opening(self) -> Opening:
        """Return how far it is. This is no use of it."""
        ...

    def begin(self) -> None:
        """Start it, if it does not run, and return at once.

        Raises:
            Unavailable: there is no room for it; the message says why.
        """
        ...

    async def open(self, driver: DriverId) -> SparkAddress:
        """Return where the pages of a driver's event log are, once they can be read.

        Raises:
            NotFound: the driver has no event log.
            Unavailable: it does not start, or not in time; the message says why.
        """
        ...
