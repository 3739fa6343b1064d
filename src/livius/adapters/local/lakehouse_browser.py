"""The contents of the lakehouses on this machine.

Paths are walked name by name, each opened relative to its parent folder and never through a link:
files of a session can't lead a reader out, even if they change meanwhile.

Tables are read by processes of their own (`livius.adapters.local.table_readers`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import stat
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from livius.adapters.local.os_users import OsUsers, SharedOsUser
from livius.adapters.local.table_readers import TableReaders
from livius.domain.contents import (
    Column,
    Commit,
    DataFile,
    Entry,
    TableDescription,
    TableFacts,
    TablePart,
)
from livius.domain.errors import Invalid, NotFound
from livius.domain.ids import LakehouseId, WorkspaceId
from livius.domain.messages import Message

_MOST_ENTRIES: Final = 5000
_MOST_FOLDERS: Final = 300
_CHUNK: Final = 256 * 1024


class _LocalFile:
    """Implements `livius.ports.lakehouse_browser.OpenFile`."""

    def __init__(self, descriptor: int, entry: Entry) -> None:
        self._descriptor = descriptor
        self._entry = entry

    @property
    def entry(self) -> Entry:
        """See the port."""
        return self._entry

    async def read(self, size: int) -> bytes:
        """See the port."""
        return await asyncio.to_thread(os.read, self._descriptor, size)

    async def chunks(self) -> AsyncIterator[bytes]:
        """See the port."""
        while chunk := await self.read(_CHUNK):
            yield chunk


class LocalLakehouseBrowser:
    """Implements the port's `LakehouseBrowser` below ``<root>/<workspace>/<lakehouse>``."""

    def __init__(self, root: Path, users: OsUsers | None = None) -> None:
        self._root = root
        self._users = users or SharedOsUser()
        self._readers = TableReaders()

    async def folder(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> Sequence[Entry] | None:
        """See the port."""
        return await asyncio.to_thread(_folder, self._root / workspace / lakehouse / "Files", parts)

    async def folders(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> Sequence[Sequence[str]]:
        """See the port."""
        base = self._root / workspace / lakehouse / "Files"
        return await asyncio.to_thread(_folders_on_the_way, base, parts)

    @contextlib.asynccontextmanager
    async def open(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> AsyncIterator[_LocalFile]:
        """See the port."""
        base = self._root / workspace / lakehouse / "Files"
        with contextlib.ExitStack() as stack:
            descriptor = await asyncio.to_thread(stack.enter_context, walked(base, parts))
            found = os.fstat(descriptor)
            group = await self._users.workspace(workspace)
            # A hard link may be to a file that its maker can't read but we can.
            is_foreign = group is not None and found.st_gid != group.number
            if not stat.S_ISREG(found.st_mode) or not parts or is_foreign:
                raise nothing_there()
            yield _LocalFile(descriptor, _entry(parts[-1], found))

    def expect_table(self) -> None:
        """See the port."""
        self._readers.prepare()

    async def table(
        self,
        workspace: WorkspaceId,
        lakehouse: LakehouseId,
        parts: Sequence[str],
        wanted: Collection[TablePart] = (),
    ) -> TableDescription:
        """See the port."""
        base = self._root / workspace / lakehouse / "Tables"
        with walked(base, (*parts, "_delta_log")) as descriptor:
            log = os.fstat(descriptor)
        if not stat.S_ISDIR(log.st_mode):
            raise nothing_there()
        user = await self._users.workspace(workspace)
        table = base.joinpath(*parts)
        return _description(await self._readers.describe(workspace, table, log, user, wanted))


def _description(found: Mapping[str, Any]) -> TableDescription:
    return TableDescription(
        facts=TableFacts(**_with_moments(found["facts"], "changed_at")),
        columns=[Column(**one) for one in found["columns"]],
        rows=found["rows"],
        commits=[Commit(**_with_moments(one, "at")) for one in found["commits"]],
        files=[DataFile(**_with_moments(one, "changed_at")) for one in found["files"]],
        more_rows=found["more_rows"],
        more_columns=found["more_columns"],
        trouble=found["trouble"],
    )


def _with_moments(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**values, name: _moment(values[name])}


def _moment(milliseconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(str(milliseconds)) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@contextlib.contextmanager
def walked(base: Path, parts: Sequence[str]) -> Iterator[int]:
    """Open the path. Only ordinary files and folders count."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(base, flags | os.O_DIRECTORY)
        for part in parts:
            if part in ("", ".", "..") or "/" in part or "\0" in part:
                raise nothing_there()
            try:
                following = os.open(part, flags, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = following
    except (OSError, UnicodeError) as error:
        raise nothing_there() from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _folder(base: Path, parts: Sequence[str]) -> list[Entry] | None:
    with walked(base, parts) as descriptor:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return None
        if not stat.S_ISDIR(mode):
            raise nothing_there()
        found: list[Entry] = []
        with os.scandir(descriptor) as entries:
            for one in entries:
                if len(found) >= _MOST_ENTRIES:
                    raise Invalid(
                        "FolderTooLarge",
                        Message(
                            "The folder holds more than %(most)s entries. List it in a session.",
                            most=f"{_MOST_ENTRIES:,}",
                        ),
                    )
                with contextlib.suppress(OSError, UnicodeError):
                    one.name.encode()  # a name that is no text can't be an address
                    about = one.stat(follow_symlinks=False)
                    if stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode):
                        found.append(_entry(one.name, about))
    return sorted(found, key=lambda one: (not one.is_folder, one.name.lower(), one.name))


def _folders_on_the_way(base: Path, parts: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = []
    for length in range(len(parts) + 1):
        try:
            with walked(base, parts[:length]) as descriptor, os.scandir(descriptor) as entries:
                seen = itertools.islice(entries, _MOST_ENTRIES)
                names = [one.name for one in seen if one.is_dir(follow_symlinks=False)]
        except (NotFound, OSError):
            break
        found.append(sorted(filter(_is_text, names), key=str.lower)[:_MOST_FOLDERS])
    return found


def _is_text(name: str) -> bool:
    return not any("\ud800" <= one <= "\udfff" for one in name)


def _entry(name: str, about: os.stat_result) -> Entry:
    is_folder = stat.S_ISDIR(about.st_mode)
    return Entry(
        name=name,
        is_folder=is_folder,
        size=0 if is_folder else about.st_size,
        changed_at=datetime.fromtimestamp(about.st_mtime, UTC),
    )


def nothing_there() -> NotFound:
    """Return the error for a path that leads to nothing."""
    return NotFound("PathNotFound", Message("There is no such file or folder in this lakehouse."))
