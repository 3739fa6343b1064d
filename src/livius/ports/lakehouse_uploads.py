"""Stores files in a lakehouse without Spark."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from livius.domain.ids import LakehouseId, WorkspaceId


class LakehouseUploads(Protocol):
    """Writes below ``Files/``. No link is followed, and others see a file whole or not at all."""

    async def put(
        self,
        workspace: WorkspaceId,
        lakehouse: LakehouseId,
        parts: Sequence[str],
        chunks: AsyncIterator[bytes],
        *,
        replace: bool,
        check_disk: Callable[[], None],
    ) -> int:
        """Store a file in a folder that exists; return its size in bytes.

        ``check_disk`` is called from time to time, and stops the upload by an error. Whatever stops
        it, nothing of the new file is left, and an old one of its name is as before.

        Raises:
            NotFound: there is no such folder.
            Conflict: a folder has the name; or a file has it and ``replace`` is false.
            Invalid: no file can have the name.
            Unavailable: the disk is full.
        """
        ...
