"""The contents of the lakehouses on this machine.

Paths are walked name by name, each opened relative to its parent folder and never through a link:
files of a session can't lead a reader out, even if they change meanwhile.

Tables are read by a process of their own (`livius.adapters.local.delta_preview`), because their
files are foreign data to a large native library: a deadline ends it, its memory is limited and
given back, and a crash in it is an error message.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from livius.adapters.local.os_users import OsUser, OsUsers, SharedOsUser
from livius.domain.contents import Column, Commit, Entry, TablePreview
from livius.domain.errors import Conflict, Invalid, NotFound, Unavailable
from livius.domain.ids import LakehouseId, WorkspaceId
from livius.domain.messages import Message

_MOST_ENTRIES: Final = 5000
_CHUNK: Final = 256 * 1024
_TABLE_WITHIN: Final = 15.0
_READERS: Final = 2
_LARGEST_LOOK: Final = 4 * 1024 * 1024

_log = structlog.get_logger(__name__)


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
        self._readers = asyncio.Semaphore(_READERS)

    async def folder(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> Sequence[Entry] | None:
        """See the port."""
        return await asyncio.to_thread(_folder, self._root / workspace / lakehouse / "Files", parts)

    @contextlib.asynccontextmanager
    async def open(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> AsyncIterator[_LocalFile]:
        """See the port."""
        base = self._root / workspace / lakehouse / "Files"
        with contextlib.ExitStack() as stack:
            descriptor = await asyncio.to_thread(stack.enter_context, _walked(base, parts))
            found = os.fstat(descriptor)
            group = await self._users.workspace(workspace)
            # A hard link may be to a file that its maker can't read but we can.
            is_foreign = group is not None and found.st_gid != group.number
            if not stat.S_ISREG(found.st_mode) or not parts or is_foreign:
                raise _nothing()
            yield _LocalFile(descriptor, _entry(parts[-1], found))

    async def table(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, name: str
    ) -> TablePreview:
        """See the port."""
        base = self._root / workspace / lakehouse / "Tables"
        with _walked(base, (name, "_delta_log")) as descriptor:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise _nothing()
        async with self._readers:
            return _look_of(await _ask_reader(base / name, await self._users.workspace(workspace)))


async def _ask_reader(table: Path, user: OsUser | None) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "livius.adapters.local.delta_preview",
        str(table),
        *(() if user is None else (str(user.number),)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")},
    )
    try:
        async with asyncio.timeout(_TABLE_WITHIN):
            said, _errors = await child.communicate()
    except TimeoutError as error:
        raise Unavailable(
            "TableTooSlow",
            Message(
                "The table could not be read within %(seconds)s s. Query it in a session.",
                seconds=f"{_TABLE_WITHIN:.0f}",
            ),
        ) from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0 or len(said) > _LARGEST_LOOK:
        _log.warning("table_unreadable", table=str(table), code=child.returncode)
        raise Unavailable(
            "TableUnreadable", Message("The table could not be read here. Query it in a session.")
        )
    found: dict[str, Any] = json.loads(said)
    if "error" in found:
        raise Conflict(
            "TableUnreadable",
            Message(
                "The folder could not be read as a Delta table: %(error)s",
                error=found["error"],
            ),
        )
    return found


def _look_of(found: dict[str, Any]) -> TablePreview:
    return TablePreview(
        columns=[Column(**one) for one in found["columns"]],
        rows=found["rows"],
        commits=[
            Commit(
                version=one["version"],
                at=_moment(one["at"]),
                operation=one["operation"],
                parameters=one["parameters"],
                metrics=one["metrics"],
            )
            for one in found["commits"]
        ],
        more_rows=found["more_rows"],
        more_columns=found["more_columns"],
        trouble=found["trouble"],
    )


def _moment(milliseconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(str(milliseconds)) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@contextlib.contextmanager
def _walked(base: Path, parts: Sequence[str]) -> Iterator[int]:
    """Open the path. Only ordinary files and folders count."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(base, flags | os.O_DIRECTORY)
        for part in parts:
            if part in ("", ".", "..") or "/" in part or "\0" in part:
                raise _nothing()
            try:
                following = os.open(part, flags, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = following
    except (OSError, UnicodeError) as error:
        raise _nothing() from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _folder(base: Path, parts: Sequence[str]) -> list[Entry] | None:
    with _walked(base, parts) as descriptor:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return None
        if not stat.S_ISDIR(mode):
            raise _nothing()
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


def _entry(name: str, about: os.stat_result) -> Entry:
    is_folder = stat.S_ISDIR(about.st_mode)
    return Entry(
        name=name,
        is_folder=is_folder,
        size=0 if is_folder else about.st_size,
        changed_at=datetime.fromtimestamp(about.st_mtime, UTC),
    )


def _nothing() -> NotFound:
    return NotFound("PathNotFound", Message("There is no such file or folder in this lakehouse."))
