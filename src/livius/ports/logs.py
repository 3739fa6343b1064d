"""The logs of drivers, and Spark's own pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from livius.domain.ids import DriverId


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A log. ``name`` is ``stdout`` or ``stderr``; ``size`` is in bytes."""

    name: str
    size: int
    created_at: datetime
    changed_at: datetime


class DriverLogs(Protocol):
    """The logs of drivers, ended ones too, until the retention ends."""

    async def files(self, driver: DriverId) -> Sequence[LogFile]:
        """Return a driver's logs by name; none if it never printed or the retention has ended."""
        ...

    async def read(self, driver: DriverId, name: str, *, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from the offset; none beyond the end or without a log."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkPage:
    """One answer of a driver's pages. ``leads_to`` is a path of theirs that it redirects to."""

    status: int
    kind: str
    body: bytes
    leads_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkAddress:
    """The address of one application's pages: its driver's, or those of a History Server.

    ``application`` is the id that the application has there. A History Server serves requests with
    its ``token`` only.
    """

    url: str
    application: str
    token: str | None = None

    @property
    def is_history(self) -> bool:
        """Tell whether it is a History Server's."""
        return self.token is not None


class SparkUi(Protocol):
    """Spark's own pages and REST API.

    Their content is untrusted: the driver's.
    """

    async def page(self, at: SparkAddress, path: str, query: str, *, root: str) -> SparkPage:
        """Return one of the pages for people; their links begin with ``root``.

        Raises:
            Unavailable: the pages don't answer in time, or with too much.
        """
        ...

    async def get(self, at: SparkAddress, path: str, query: Mapping[str, str]) -> bytes:
        """Return the JSON that Spark's REST API has under a path of the application.

        The empty path is the application itself.

        Raises:
            NotFound: Spark has no such resource.
            Unavailable: the pages don't answer in time, or not with JSON below the size limit.
        """
        ...
