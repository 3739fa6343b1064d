"""Starting, observing and ending drivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from livius.domain.driver import DriverEnd
from livius.domain.environment import EnvironmentVersion
from livius.domain.ids import DriverId, LakehouseId, PrincipalId, ReplId, WorkspaceId
from livius.ports.catalog import LakehouseAccess
from livius_agent.wire import Bind


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What binds a driver to its session. ``conf`` is the caller's, in clear.

    ``workspaces`` are those where the submitter may run code.
    """

    submitter: PrincipalId
    workspace: WorkspaceId
    lakehouse: LakehouseId
    database: str
    name: str
    conf: Mapping[str, str]
    workspaces: frozenset[WorkspaceId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """A driver to launch.

    ``secret`` is the link's, in clear. Without a ``binding`` it is one of the pool, to be bound
    later. ``environment`` is the version whose libraries it has, and without a binding the
    properties too. ``cores`` and ``memory_mb`` bound it further than the launcher's settings do.
    """

    driver: DriverId
    repl: ReplId
    runtime: str
    secret: str
    binding: Binding | None
    environment: EnvironmentVersion | None = None
    cores: int | None = None
    memory_mb: int | None = None


class DriverState(Enum):
    """The state of a driver as the launcher sees it, without asking the driver."""

    ABSENT = auto()
    """There is no trace of a launch: `Launcher.launch` may be called."""
    ALIVE = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Observation:
    """A driver's state; ``end`` is set when it has ended."""

    vital: DriverState
    end: DriverEnd | None = None


class Launcher(Protocol):
    """Called by the reconciler only, never twice at once for one driver.

    The driver's id is enough: the launcher derives everything else from it, or stores it in a place
    derived from it. So a restarted gateway needs only the record.
    """

    async def launch(self, spec: LaunchSpec) -> None:
        """Start a driver and return as soon as it is on its way.

        Idempotent: for a driver that runs already, nothing happens.

        Raises:
            LiviusError: it can't be started; the message has the reason. Nothing is left behind.
        """
        ...

    async def bind(self, driver: DriverId, binding: Binding) -> Bind:
        """Make a running driver of the pool ready for a session.

        Return the message that binds it. Idempotent.

        Raises:
            LiviusError: that could not be done; the message has the reason.
        """
        ...

    async def publish_lakehouse_index(self, places: Sequence[LakehouseAccess]) -> None:
        """Publish the lakehouses, with their names and principals, to all drivers.

        Running drivers read it too. Idempotent, and cheap where nothing changed.
        """
        ...

    async def observe(self, driver: DriverId) -> Observation:
        """Look without waiting.

        The result is the same before and after a restart of the gateway.
        """
        ...

    async def end(self, driver: DriverId) -> None:
        """Ask a driver to end, then end all of its processes.

        Returns when none of them runs any more and its temporary files are deleted, after about ten
        seconds at most. For a driver that has ended or was never launched, only deletes the files.
        """
        ...

    async def remove(self, driver: DriverId) -> None:
        """Delete the logs of an ended driver."""
        ...

    async def known(self) -> frozenset[DriverId]:
        """Return every driver that may still have processes, wanted or not."""
        ...

    async def log_tail(self, driver: DriverId) -> tuple[str, ...]:
        """Return the last lines that the driver printed, none where there is no log."""
        ...
