"""The records of environments, and their files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from livius.domain.audit import AuditEntry
from livius.domain.environment import Environment, EnvironmentVersion, Library, Publish
from livius.domain.ids import EnvironmentId, EnvironmentVersionId, OperationId, WorkspaceId
from livius.domain.operation import Operation
from livius.ports.catalog import Outcome


class Environments(Protocol):
    """Environments and their versions: a part of the store."""

    async def add_environment(
        self, environment: Environment, *, audit: AuditEntry | None = None
    ) -> Outcome:
        """Insert an environment.

        `Outcome.TAKEN` if another one of the workspace has the name, in any case; `Outcome.MISSING`
        if the workspace is gone.
        """
        ...

    async def environment(self, environment: EnvironmentId) -> Environment | None:
        """Return an environment."""
        ...

    async def list_environments(self, workspace: WorkspaceId) -> Sequence[Environment]:
        """Return a workspace's environments, the oldest first."""
        ...

    async def change_environment(
        self,
        environment: EnvironmentId,
        change: Callable[[Environment], Environment],
        *,
        audit: AuditEntry | None = None,
    ) -> Environment | Outcome:
        """Change name, description or what is staged; return it as it is then.

        ``change`` is called with the present record, in the transaction: so no change is lost. What
        it raises is raised. Or `Outcome.MISSING`, or `Outcome.TAKEN` for a name.
        """
        ...

    async def delete_environment(
        self, environment: EnvironmentId, *, audit: AuditEntry | None = None
    ) -> bool:
        """Delete an environment; its versions stay until `forget_versions` deletes them."""
        ...

    async def add_publish(
        self,
        version: EnvironmentVersion,
        operation: Operation,
        *,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """Insert a version with the operation that is to make it.

        `Outcome.IN_USE` if another publish of its environment has not ended; `Outcome.MISSING` if
        the environment is gone.
        """
        ...

    async def publish(self, version: EnvironmentVersionId) -> Publish | None:
        """Return a version with the operation that made, or makes it."""
        ...

    async def publish_of(self, operation: OperationId) -> Publish | None:
        """Return the publish that an operation is."""
        ...

    async def latest_publishes(self, workspace: WorkspaceId) -> Sequence[Publish]:
        """Return the publish of each environment of a workspace that began last."""
        ...

    async def warm_versions(self, *, most: int) -> Sequence[EnvironmentVersion]:
        """Return the published versions that are to have a driver wait, the latest first."""
        ...

    async def set_publish_log(self, version: EnvironmentVersionId, log: str) -> None:
        """Store what a publish has printed."""
        ...

    async def finish_publish(
        self, version: EnvironmentVersionId, *, packages: Sequence[Library], at: datetime
    ) -> bool:
        """Make a version the one that new sessions get; its operation has succeeded then.

        False, and nothing changed, if the environment is gone, or if the operation has ended or is
        to be cancelled.
        """
        ...

    async def forget_versions(self) -> None:
        """Delete the records of versions that nobody can need again.

        Those that are neither published nor the latest of an environment, are not being made, and
        that no live session has.
        """
        ...

    async def recorded_versions(self) -> frozenset[EnvironmentVersionId]:
        """Return the versions that have a record."""
        ...

    async def recorded_environments(self) -> frozenset[EnvironmentId]:
        """Return the environments."""
        ...


Progress = Callable[[int], Awaitable[None]]
Log = Callable[[str], None]


class EnvironmentFiles(Protocol):
    """Custom files, and the folders of versions."""

    async def staged(self, environment: EnvironmentId) -> Sequence[str]:
        """Return the names of the staged files, in order."""
        ...

    async def stage(
        self, environment: EnvironmentId, name: str, content: AsyncIterator[bytes]
    ) -> None:
        """Store a file, in place of one with its name, all or nothing.

        Raises:
            Invalid: it is too large, or there are too many files.
            Unavailable: the disk is full.
        """
        ...

    async def unstage(self, environment: EnvironmentId, name: str) -> bool:
        """Remove a staged file; False if there is none."""
        ...

    async def discard_staged(self, environment: EnvironmentId) -> None:
        """Remove the staged files of an environment that is gone."""
        ...

    async def build(
        self, version: EnvironmentVersion, *, log: Log, progress: Progress
    ) -> Sequence[Library]:
        """Make the folder of a version; return the packages that were installed.

        It appears complete or not at all, also if this is cancelled; what was started has ended.

        Raises:
            LiviusError: the message has the reason, as the resolver gives it.
        """
        ...

    async def discard(self, environment: EnvironmentId, version: EnvironmentVersionId) -> None:
        """Remove the folder of a version, with what an interrupted build has left of it."""
        ...

    async def known(self) -> frozenset[tuple[EnvironmentId, EnvironmentVersionId | None]]:
        """Return each environment that has a folder, and each version that has one."""
        ...
