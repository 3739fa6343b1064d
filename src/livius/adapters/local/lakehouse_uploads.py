"""Uploads into the lakehouses on this machine.

A file is written in a folder of the gateway's own, and gets its place and name when it is whole:
an upload that is cut off leaves nothing, a crash only what the next start removes.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from livius.adapters.local.lakehouse_browser import nothing_there, walked
from livius.adapters.local.os_users import OsUsers
from livius.domain.errors import Conflict, Invalid, Unavailable
from livius.domain.ids import LakehouseId, WorkspaceId, new_id
from livius.domain.messages import Message

_CHECK_EVERY: Final = 16 * 1024 * 1024
_TAKEN: Final = frozenset({errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.ENOTDIR})
_NO_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class LocalLakehouseUploads:
    """Implements `livius.ports.lakehouse_uploads.LakehouseUploads`.

    Lakehouses are below ``root``; the folder ``unfinished``, on the same disk, is for files that
    are not whole yet.
    """

    def __init__(self, root: Path, unfinished: Path, users: OsUsers) -> None:
        self._root = root
        self._unfinished = unfinished
        self._users = users

    def remove_unfinished(self) -> None:
        """Remove what an earlier gateway has left. Only before the first upload."""
        shutil.rmtree(self._unfinished, ignore_errors=True)

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
        """See the port."""
        *folders, name = parts
        base = self._root / workspace / lakehouse / "Files"
        group = await self._users.workspace(workspace)
        number = None if group is None else group.number
        self._unfinished.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = self._unfinished / new_id()
        with walked(base, folders) as folder:
            if not stat.S_ISDIR(os.fstat(folder).st_mode):
                raise nothing_there()
            _check_free(name, folder, replace=replace)
            try:
                size = await _write(whole, chunks, check_disk)
                await asyncio.to_thread(_open_to, whole, number)
                await asyncio.to_thread(_place, whole, folder, name, replace=replace)
            except OSError as error:
                raise _said(error, name) from error
            finally:
                whole.unlink(missing_ok=True)
        return size


def _check_free(name: str, folder: int, *, replace: bool) -> None:
    """Refuse a name that is taken before the data come; placing the file decides."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise _said(error, name) from error
    if not replace or stat.S_ISDIR(found.st_mode):
        raise _taken(name)


async def _write(path: Path, chunks: AsyncIterator[bytes], check_disk: Callable[[], None]) -> int:
    size = looked_at = 0
    check_disk()
    with path.open("xb", buffering=0) as file:
        async for chunk in chunks:
            await asyncio.to_thread(_write_whole, file.fileno(), chunk)
            size += len(chunk)
            if size - looked_at >= _CHECK_EVERY:
                looked_at = size
                check_disk()
        await asyncio.to_thread(os.fsync, file.fileno())
    return size


def _write_whole(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _open_to(path: Path, group: int | None) -> None:
    """Let the workspace's group use the file, where each principal has a user of its own."""
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(0o600 if group is None else 0o660)


def _place(whole: Path, folder: int, name: str, *, replace: bool) -> None:
    if replace:
        os.rename(whole, name, dst_dir_fd=folder)
    else:
        os.link(whole, name, dst_dir_fd=folder)


def _said(error: OSError | ValueError, name: str) -> Conflict | Invalid | Unavailable:
    number = error.errno if isinstance(error, OSError) else errno.EINVAL
    if number in _TAKEN:
        return _taken(name)
    if number in _NO_NAME:
        return Invalid(
            "InvalidInput", Message("A file can't have this name. Choose a shorter, plain one.")
        )
    if number in _FULL:
        return Unavailable(
            "InsufficientStorage",
            Message("The server's disk is full, so nothing was stored. Ask its operator for room."),
        )
    raise error


def _taken(name: str) -> Conflict:
    return Conflict(
        "FileExists",
        Message(
            "There is a file or folder %(name)s already. Choose another name, or replace the file.",
            name=name,
        ),
    )
