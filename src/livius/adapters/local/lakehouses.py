"""Lakehouses as folders of this machine: ``<root>/<workspace>/<lakehouse>/{Tables,Files}``."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from livius.adapters.local.os_users import OsUser, OsUsers, share
from livius.domain.ids import LakehouseId, WorkspaceId
from livius.domain.lakehouse import LakehouseTable, is_schema_name

_SCHEMA: Final = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_SHARED: Final = 0o3770
"""The mode of a lakehouse that its workspace's group may use."""


class LocalLakehouses:
    """Implements `livius.ports.lakehouses.LakehouseFiles`."""

    def __init__(self, root: Path, users: OsUsers) -> None:
        self._root = root
        self._users = users

    async def create(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> None:
        """See the port."""
        folder = lakehouse_folder(self._root, workspace, lakehouse)
        await asyncio.to_thread(lay_lakehouse, folder, await self._users.workspace(workspace))

    async def copy_table(self, workspace: WorkspaceId, lakehouse: LakehouseId, table: Path) -> None:
        """Copy a Delta table into a lakehouse that was made, unless it has one there."""
        group = await self._users.workspace(workspace)
        tables = lakehouse_folder(self._root, workspace, lakehouse) / "Tables"
        await asyncio.to_thread(_copy_whole, table, tables / table.name, group)

    async def tables(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, *, has_schemas: bool
    ) -> Sequence[LakehouseTable]:
        """See the port. A table is a folder with a Delta log; the metastore registers the same."""
        find = _tables_of_schemas if has_schemas else _tables
        return await asyncio.to_thread(find, self._root / workspace / lakehouse / "Tables")

    async def schemas(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> Sequence[str]:
        """See the port."""
        return await asyncio.to_thread(_schemas, self._root / workspace / lakehouse / "Tables")

    async def remove(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> None:
        """See the port."""
        folder = self._root / workspace / lakehouse
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder)


def lakehouse_folder(root: Path, workspace: WorkspaceId, lakehouse: LakehouseId) -> Path:
    """Return the folder of a lakehouse."""
    return root / workspace / lakehouse


def lay_lakehouse(folder: Path, group: OsUser | None) -> None:
    """Make a lakehouse's missing folders, and give its workspace's group access.

    Files made in them belong to the group too. The folders themselves stay ours: in a lakehouse's
    root users may replace only their own files. A lakehouse from before, which nobody else could
    write to, is given to the group as a whole.
    """
    inside = [folder / name for name in ("Tables", "Files")]
    for path in inside:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    # A new folder inherits the group of a workspace that is shared already, and is not shared yet.
    is_shared = stat.S_IMODE(about.st_mode) == _SHARED
    if group is None or (about.st_gid == group.number and is_shared):
        return
    for path in inside:
        _hand_over(path, group.number)
    share(folder.parent, group, 0o2750)
    share(folder, group, _SHARED)


def _copy_whole(source: Path, target: Path, group: OsUser | None) -> None:
    """Copy a folder, so that others see it whole or not at all."""
    if target.exists():
        return
    beside = target.with_name(f".{target.name}")
    shutil.rmtree(beside, ignore_errors=True)  # one that a crash has left
    try:
        shutil.copytree(source, beside, copy_function=shutil.copyfile)
        if group is not None:
            _hand_over(beside, group.number)
        beside.replace(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _hand_over(top: Path, group: int) -> None:
    """Give a group our own permissions in a tree. Links are left alone and not followed."""
    for _, _, files, folder in os.fwalk(top, topdown=False):
        for name in files:
            with suppress(OSError):
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
                try:
                    _open_to(file, group)
                finally:
                    os.close(file)
        _open_to(folder, group)


def _open_to(descriptor: int, group: int) -> None:
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    os.fchown(descriptor, -1, group)
    os.fchmod(descriptor, mode | (mode & 0o700) >> 3 | (stat.S_ISGID if is_folder else 0))


def _tables(folder: Path, schema: str | None = None) -> list[LakehouseTable]:
    return [
        LakehouseTable(folder=one.name, format="delta", schema=schema, changed_at=changed_at)
        for one in _folders(folder)
        if (changed_at := _last_commit(one / "_delta_log")) is not None
    ]


def _last_commit(log: Path) -> datetime | None:
    """Return when a folder's log got its last file; None if it has no commit."""
    try:
        with os.scandir(log) as entries:
            if not any(entry.name[:1].isdigit() for entry in entries):
                return None
        return datetime.fromtimestamp(log.stat().st_mtime, UTC)
    except OSError:
        return None


def _tables_of_schemas(folder: Path) -> list[LakehouseTable]:
    schemas = [one for one in _folders(folder) if _SCHEMA.fullmatch(one.name)]
    found = [table for schema in schemas for table in _tables(schema, schema.name)]
    return sorted(found, key=lambda table: table.name)


def _schemas(folder: Path) -> list[str]:
    """Return the names of the folders that are schemas: of those that are no table."""
    return [
        one.name
        for one in _folders(folder)
        if is_schema_name(one.name) and not (one / "_delta_log").exists()
    ]


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [one for one in sorted(folder.iterdir()) if one.is_dir() and not one.is_symlink()]
