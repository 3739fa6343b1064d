"""Reads the contents of a lakehouse without Spark."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from livius.domain.contents import Entry, TableDescription, TablePart
from livius.domain.ids import LakehouseId, WorkspaceId


class OpenFile(Protocol):
    """An open file: all reads are of this one file, even if its name changes meanwhile."""

    @property
    def entry(self) -> Entry:
        """Return the file's entry as of its opening."""
        ...

    async def read(self, size: int) -> bytes:
        """Return the next bytes, up to ``size``; none at the end."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the rest of the file in pieces."""
        ...


class LakehouseBrowser(Protocol):
    """Files and tables. Nothing outside of the lakehouse's folder is reached: no link is followed.

    ``parts`` are names below ``Files/``, each of one folder or file.
    """

    async def folder(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> Sequence[Entry] | None:
        """Return a folder's entries, folders first, by name; None if this is a file.

        Raises:
            NotFound: there is nothing of the name, or only a link.
            Invalid: the folder has too many entries to list.
        """
        ...

    async def folders(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> Sequence[Sequence[str]]:
        """Return the names of the folders in ``Files``, and in each folder on the way to a path.

        Of a folder with very many only some are returned, in order; what is missing has none.
        """
        ...

    def open(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> AbstractAsyncContextManager[OpenFile]:
        """Open a file to be read.

        Raises:
            NotFound: there is no such file.
        """
        ...

    def expect_table(self) -> None:
        """Prepare for a call of `table` that will probably come soon. It never blocks."""
        ...

    async def table(
        self,
        workspace: WorkspaceId,
        lakehouse: LakehouseId,
        parts: Sequence[str],
        wanted: Collection[TablePart] = (),
    ) -> TableDescription:
        """Return a table's facts and columns, and what else is wanted; ``parts``: below ``Tables``.

        Raises:
            NotFound: there is no such table.
            Unavailable: it could not be read in time, or is broken.
        """
        ...
