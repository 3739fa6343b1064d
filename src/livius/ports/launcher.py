"""Starting, observing and ending drivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from livius.domain.driver import DriverEnd
from livius.domain.ids import DriverId, LakehouseId, PrincipalId, ReplId, WorkspaceId
from livius.ports.catalog import LakehouseAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """All that a launcher needs to know of a session.

    ``secret`` is the link's, in clear. ``workspaces`` are those where the submitter may run code.
    """

    driver: DriverId
    repl: ReplId
    submitter: PrincipalId
    workspace: WorkspaceId
    lakehouse: LakehouseId
    database: str
    runtime: str
    name: str
    conf: Mapping[str, str]
    secret: str
    workspaces: frozenset[WorkspaceId] = frozenset()


class DriverState(Enum):
    """What a launcher knows of a driver without asking the driver."""

    ABSENT = auto()
    """Never launched, as far as anyone can tell: `Launcher.launch` may be called."""
    ALIVE = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Observation:
    """A driver's vital sign; ``end`` is set when it has ended."""

    vital: DriverState
    end: DriverEnd | None = None


class Launcher(Protocol):
    """Called by the reconciler only, never twice at once for one driver.

    A driver is known by its id alone: whatever the launcher must remember it derives from the id
    or keeps where the id leads. So a restarted gateway needs nothing more than the record.
    """

    async def launch(self, spec: LaunchSpec) -> None:
        """Start a driver and return as soon as it is on its way.

        Idempotent: for a driver that runs already, nothing happens.

        Raises:
            LiviusError: it can't be started; the message says why. Nothing is left behind.
        """
        ...

    async def publish_lakehouse_index(self, places: Sequence[LakehouseAccess]) -> None:
        """Let drivers know which lakehouses there are, for whom, and under which names.

        Drivers that run learn it too. Idempotent, and cheap where nothing changed.
        """
        ...

    async def observe(self, driver: DriverId) -> Observation:
        """Look, without waiting. After our restart the answer is as good as before it."""
        ...

    async def end(self, driver: DriverId) -> None:
        """Ask a driver to end, and see to it that all its processes do.

        Returns when nothing of it runs any more and its temporary files are gone; at most some
        ten seconds. For a driver that has ended, or never was, only the sweeping is done.
        """
        ...

    async def remove(self, driver: DriverId) -> None:
        """Delete what an ended driver left for people: its logs."""
        ...

    async def known(self) -> frozenset[DriverId]:
        """Return every driver that may still run something, wanted or not."""
        ...

    async def log_tail(self, driver: DriverId) -> tuple[str, ...]:
        """Return the last lines that the driver printed, none where there is no log."""
        ...

    def has_runtime(self, name: str) -> bool:
        """Tell whether drivers of this runtime can be started."""
        ...
