"""Changes of the files and folders in lakehouses on this machine.

What is removed first gets a place in a folder of the gateway's own, so that it is gone for others
at once, and as a whole. Then its files are deleted; those that a crash leaves, the next start
deletes.
"""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import stat
import subprocess
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import structlog

from livius.adapters.local.lakehouse_browser import nothing_there, walked
from livius.adapters.local.os_users import OsUsers
from livius.adapters.local.table_claims import TableClaims
from livius.domain.contents import Area, Extent
from livius.domain.errors import Conflict, Invalid, Unavailable
from livius.domain.ids import LakehouseId, WorkspaceId, new_id
from livius.domain.messages import Message

_log = structlog.get_logger(__name__)

_MOST_COUNTED: Final = 20_000
_DEEPEST: Final = 100
_A_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OURS: Final = 0o700
"""The mode of a folder that only the gateway may enter yet."""

_NO_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})


class LocalLakehouseEdits:
    """Implements `livius.ports.lakehouse_edits.LakehouseEdits`.

    Lakehouses are below ``root``; the folder ``removed``, on the same disk, is for what has yet to
    be deleted.
    """

    def __init__(self, root: Path, removed: Path, users: OsUsers, claims: TableClaims) -> None:
        self._root = root
        self._removed = removed
        self._users = users
        self._claims = claims
        self._doomed: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._deleting: threading.Thread | None = None

    def delete_removed(self) -> None:
        """Delete what an earlier gateway has left. Only before the first removal."""
        if self._removed.exists():
            for place in list(self._removed.iterdir()):
                self._delete(place)

    async def make_folder(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> None:
        """See the port."""
        group = await self._users.workspace(workspace)
        base = self._root / workspace / lakehouse / Area.FILES
        await asyncio.to_thread(_make, base, parts, None if group is None else group.number)

    async def measure(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, area: Area, parts: Sequence[str]
    ) -> Extent:
        """See the port."""
        return await asyncio.to_thread(_measure, self._root / workspace / lakehouse / area, parts)

    async def remove(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, parts: Sequence[str]
    ) -> None:
        """See the port."""
        await self._take_away(self._root / workspace / lakehouse / Area.FILES, parts)

    async def remove_table(
        self,
        workspace: WorkspaceId,
        lakehouse: LakehouseId,
        parts: Sequence[str],
        forget: Callable[[], Awaitable[None]],
    ) -> None:
        """See the port."""
        base = self._root / workspace / lakehouse / Area.TABLES
        with self._claims.claim(base.joinpath(*parts)):
            if await asyncio.to_thread(_is_missing, base, parts):
                # What the metastore may have of it, no other way to delete it would remove.
                await _forget_if_possible(forget, parts)
                raise nothing_there()
            await asyncio.to_thread(_check_table, base, parts)
            await forget()
            await self._take_away(base, parts)
            await _forget_if_possible(forget, parts)

    async def _take_away(self, base: Path, parts: Sequence[str]) -> None:
        if not parts:
            raise nothing_there()
        place = self._removed / new_id()
        await asyncio.to_thread(_move, base, parts, place)
        self._delete(place)

    def _delete(self, place: Path) -> None:
        """Have a thread delete it, one after the other. The end of the gateway waits for none."""
        self._doomed.put(place)
        if self._deleting is None:
            self._deleting = threading.Thread(
                target=_delete_all, args=(self._doomed,), name="removal", daemon=True
            )
            self._deleting.start()


def _is_missing(base: Path, parts: Sequence[str]) -> bool:
    """Tell whether a folder that is there has nothing of the last name, not even a link."""
    *above, name = parts
    with walked(base, above) as folder:
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return "/" not in name and name != ""
        except (OSError, ValueError) as error:
            raise nothing_there() from error
    return False


async def _forget_if_possible(forget: Callable[[], Awaitable[None]], parts: Sequence[str]) -> None:
    try:
        await forget()
    except Unavailable as error:
        # The table is gone all the same.
        _log.warning("table_not_forgotten", table=".".join(parts), reason=error.message)


def _make(base: Path, parts: Sequence[str], group: int | None) -> None:
    *above, name = parts
    with walked(base, above) as folder:
        try:
            os.mkdir(name, _OURS, dir_fd=folder)
            if group is not None:
                _share(folder, name, group)
        except NotADirectoryError as error:
            raise nothing_there() from error
        except FileExistsError as error:
            raise Conflict(
                "FileExists",
                Message(
                    "There is a file or folder %(name)s already. Choose another name.", name=name
                ),
            ) from error
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_NAME:
                raise _refused(error) from error
            raise Invalid(
                "InvalidInput",
                Message("A folder can't have this name. Choose a shorter, plain one."),
            ) from error


def _check_table(base: Path, parts: Sequence[str]) -> None:
    with walked(base, (*parts, "_delta_log")) as descriptor:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise nothing_there()


def _share(folder: int, name: str, group: int) -> None:
    """Give a group the new folder of a name: only if it is as we made it."""
    made = os.open(name, _A_FOLDER, dir_fd=folder)
    try:
        about = os.fstat(made)
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o777 != _OURS:
            raise nothing_there()
        os.fchown(made, -1, group)
        os.fchmod(made, 0o2770)
    finally:
        os.close(made)


def _move(base: Path, parts: Sequence[str], place: Path) -> None:
    *above, name = parts
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with walked(base, above) as folder:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                raise nothing_there()
            os.rename(name, place, src_dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise nothing_there() from error
        except OSError as error:
            raise nothing_there() if error.errno in _NO_NAME else _refused(error) from error


def _refused(error: OSError) -> Conflict | Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(
            "InsufficientStorage",
            Message("The server's disk is full, so nothing was stored. Ask its operator for room."),
        )
    return Conflict(
        "NotPermitted",
        Message(
            "The operating system refused it: %(reason)s. Change it in a session.",
            reason=os.strerror(error.errno or errno.EIO),
        ),
    )


def _delete_all(places: queue.SimpleQueue[Path]) -> None:
    while True:
        _delete(places.get())


def _delete(place: Path) -> None:
    # Python's own way fails for folders in folders in a thousand folders.
    subprocess.run(["rm", "-rf", "--", str(place)], check=False, stderr=subprocess.DEVNULL)
    if place.exists():
        _log.warning("removed_files_stay", place=str(place))


def _measure(base: Path, parts: Sequence[str]) -> Extent:
    with walked(base, parts) as descriptor:
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode):
            return Extent(files=1, size=about.st_size, is_folder=False)
        if not parts or not stat.S_ISDIR(about.st_mode):
            raise nothing_there()
        return _counted(descriptor)


def _counted(folder: int) -> Extent:
    is_cut = False
    sizes: list[int] = []
    with closing(_within(folder)) as found:
        for seen, one in enumerate(found):
            if seen == _MOST_COUNTED:
                is_cut = True
                break
            if one is None:
                is_cut = True
            elif stat.S_ISREG(one.st_mode):
                sizes.append(one.st_size)
    return Extent(files=len(sizes), size=sum(sizes), is_folder=True, is_cut=is_cut)


def _within(folder: int, depth: int = 0) -> Generator[os.stat_result | None, None, None]:
    """Yield the status of everything in a folder and its folders, while they are listed.

    No link is followed. None stands for what can't be read, changes meanwhile, or is very deep.
    """
    try:
        with os.scandir(folder) as entries:
            for one in entries:
                about = _status(one)
                yield about
                if about is not None and stat.S_ISDIR(about.st_mode):
                    yield from _inside(folder, one.name, depth + 1)
    except OSError:
        yield None


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _inside(folder: int, name: str, depth: int) -> Generator[os.stat_result | None, None, None]:
    try:
        inner = os.open(name, _A_FOLDER, dir_fd=folder) if depth < _DEEPEST else None
    except OSError:
        inner = None
    if inner is None:
        yield None
        return
    try:
        yield from _within(inner, depth)
    finally:
        os.close(inner)
