"""The files of the catalog's lakehouses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from livius.domain.ids import LakehouseId, WorkspaceId
from livius.domain.lakehouse import LakehouseTable


class LakehouseFiles(Protocol):
    """``Tables/`` and ``Files/`` of each lakehouse."""

    async def create(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> None:
        """Make both folders, where they are missing."""
        ...

    async def tables(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, *, has_schemas: bool
    ) -> Sequence[LakehouseTable]:
        """Return the tables in the folder by name, no matter which program wrote them.

        With schemas, each schema has a folder, in which its tables are.
        """
        ...

    async def schemas(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> Sequence[str]:
        """Return the schemas that have a folder, by name; some may have no table."""
        ...

    async def remove(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> None:
        """Delete all files of a lakehouse."""
        ...
