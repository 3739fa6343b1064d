"""Changes the files and folders of a lakehouse without Spark."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from livius.domain.contents import Area, Extent
from livius.domain.ids import LakehouseId, WorkspaceId


class LakehouseEdits(Protocol):
    """Makes folders and removes things; no link is followed.

    ``parts`` are names below an area, each of one folder or file.
    """

    async def make_folder(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> None:
        """Make a folder in one of ``Files`` that exists.

        Raises:
            NotFound: there is no such folder.
            Conflict: the name is taken.
            Invalid: no folder can have the name.
        """
        ...

    async def measure(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, area: Area, parts: Sequence[str]
    ) -> Extent:
        """Return how much a file or folder is, of a very large one only its beginning.

        Raises:
            NotFound: there is nothing of the name, or only a link.
        """
        ...

    async def remove(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> None:
        """Remove a file, or a folder with all that is in it, below ``Files``: at once, for others.

        Raises:
            NotFound: there is nothing of the name, or only a link.
            Conflict: it can't be removed.
        """
        ...

    async def remove_table(
        self,
        workspace: WorkspaceId,
        lakehouse: LakehouseId,
        parts: Sequence[str],
        forget: Callable[[], Awaitable[None]],
    ) -> None:
        """Remove a table's folder. ``forget`` makes the metastore forget it: before and after.

        If the first `forget` fails, nothing is removed. The second one is for a table that the
        metastore has registered meanwhile; if it is unavailable, that is logged, as the table is
        gone. A table without a folder is forgotten too, and still not found.

        Raises:
            NotFound: there is no such table.
            Conflict: a load of the table runs, or it can't be removed.
        """
        ...
