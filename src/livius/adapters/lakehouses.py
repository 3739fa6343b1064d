"""Lakehouses as folders of this machine: ``<root>/<workspace>/<lakehouse>/{Tables,Files}``."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from livius.domain.ids import LakehouseId, WorkspaceId
from livius.domain.lakehouse import LakehouseTable


class LocalLakehouses:
    """Implements `livius.ports.lakehouses.LakehouseFiles`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def create(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> None:
        """See the port."""
        for name in ("Tables", "Files"):
            folder = self._root / workspace / lakehouse / name
            await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)

    async def tables(
        self, workspace: WorkspaceId, lakehouse: LakehouseId
    ) -> Sequence[LakehouseTable]:
        """See the port. A table is a folder with a Delta log; the metastore registers the same."""
        return await asyncio.to_thread(_tables, self._root / workspace / lakehouse / "Tables")

    async def remove(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> None:
        """See the port."""
        folder = self._root / workspace / lakehouse
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder)


def _tables(folder: Path) -> list[LakehouseTable]:
    if not folder.is_dir():
        return []
    return [
        LakehouseTable(folder=one.name, format="delta")
        for one in sorted(folder.iterdir())
        if any((one / "_delta_log").glob("[0-9]*"))
    ]
