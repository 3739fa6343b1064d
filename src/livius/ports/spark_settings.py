"""The records of workspaces' Spark settings and custom pools: a part of the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from livius.domain.audit import AuditEntry
from livius.domain.ids import SparkPoolId, WorkspaceId
from livius.domain.spark_pool import MOST_POOLS, SparkPool
from livius.domain.spark_settings import SparkConfiguration, SparkSettings
from livius.ports.catalog import Outcome


class SparkConfigurations(Protocol):
    """Spark settings and custom pools. Both go with their workspace."""

    async def spark_configuration(self, workspace: WorkspaceId) -> SparkConfiguration:
        """Return a workspace's settings and pools; the defaults where nothing was set."""
        ...

    async def change_spark_settings(
        self,
        workspace: WorkspaceId,
        change: Callable[[SparkConfiguration], SparkSettings],
        *,
        audit: AuditEntry | None = None,
    ) -> SparkConfiguration | Outcome:
        """Change a workspace's settings; return them as they are then.

        ``change`` is called in the transaction, so no change is lost. What it raises is raised. Or
        `Outcome.MISSING`: there is no such workspace.
        """
        ...

    async def add_spark_pool(
        self, pool: SparkPool, *, most: int = MOST_POOLS, audit: AuditEntry | None = None
    ) -> Outcome:
        """Insert a pool.

        `Outcome.FULL` if the workspace has ``most`` already; `Outcome.TAKEN` if another one of its
        pools has the name, in any case; `Outcome.MISSING` if the workspace is gone.
        """
        ...

    async def change_spark_pool(
        self,
        pool: SparkPoolId,
        change: Callable[[SparkPool], SparkPool],
        *,
        audit: AuditEntry | None = None,
    ) -> SparkPool | Outcome:
        """Change a pool, as `change_spark_settings` does; or `Outcome.TAKEN` for a name."""
        ...

    async def delete_spark_pool(
        self, pool: SparkPoolId, *, audit: AuditEntry | None = None
    ) -> Outcome:
        """Delete a pool; `Outcome.IN_USE` while it is the default one of its workspace."""
        ...
