"""Spark's event logs as files in drivers' folders.

A driver writes its log itself and runs its user's code. So the folder may have anything in it: no
link is followed, and no more is read than an honest driver writes.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from livius.domain.ids import DriverId
from livius.ports.history import EventLog
from livius_agent.files import open_regular
from livius_agent.spec import EVENT_LOG

_FILES: Final = ("events.zstd", "events.zstd.inprogress")
"""The names that Spark gives a log: when its application has ended, and until then."""
_FULL: Final = "full"
"""`EventLog.scala` leaves it where the log has reached its limit."""
_USUAL_LIMIT: Final = 64 * 1024 * 1024
_OVER: Final = 16 * 1024 * 1024
"""How far an honest driver gets over its limit before it notices: a few events."""
_PIECE: Final = 1024 * 1024


class FileEventLogs:
    """Implements `livius.ports.history.EventLogs`. ``drivers`` holds the drivers' folders.

    ``limit`` is the limit of new logs. One of an earlier, larger limit may be cut.
    """

    def __init__(self, drivers: Path, *, limit: int) -> None:
        self._drivers = drivers
        self._most = max(limit, _USUAL_LIMIT) + _OVER

    async def find(self, driver: DriverId) -> EventLog | None:
        """See the port."""
        return await asyncio.to_thread(self._find, driver)

    def _find(self, driver: DriverId) -> EventLog | None:
        try:
            with self._folder(driver) as folder, _log(folder) as file:
                size = os.fstat(file.fileno()).st_size
                return EventLog(size=size, is_full=_is_full(folder)) if size else None
        except OSError:
            return None

    async def zipped(self, driver: DriverId, name: str) -> BinaryIO | None:
        """See the port."""
        return await asyncio.to_thread(self._zipped, driver, name)

    def _zipped(self, driver: DriverId, name: str) -> BinaryIO | None:
        whole = tempfile.TemporaryFile(dir=self._drivers)  # noqa: SIM115 - it is the caller's
        try:
            # Spark has compressed it.
            with (
                zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive,
                archive.open(f"{name}.zstd", "w", force_zip64=True) as entry,
            ):
                self.copy(driver, cast("BinaryIO", entry))
        except FileNotFoundError:
            whole.close()
            return None
        except BaseException:
            whole.close()
            raise
        whole.seek(0)
        return cast("BinaryIO", whole)

    def copy(self, driver: DriverId, target: BinaryIO) -> None:
        """Copy a log into an open file, up to the limit.

        Raises:
            FileNotFoundError: there is none.
            OSError: it can't be read, or the target can't be written.
        """
        with self._folder(driver) as folder, _log(folder) as file:
            left = self._most
            while piece := file.read(min(_PIECE, left)):
                target.write(piece)
                left -= len(piece)

    @contextmanager
    def _folder(self, driver: DriverId) -> Iterator[int]:
        path = self._drivers / driver / EVENT_LOG
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _log(folder: int) -> BinaryIO:
    """Open the log. A file of another user is none: its driver has linked it."""
    ended, running = map(Path, _FILES)
    try:
        file = open_regular(ended, folder=folder)
    except FileNotFoundError:
        file = open_regular(running, folder=folder)
    if os.fstat(file.fileno()).st_uid != os.fstat(folder).st_uid:
        file.close()
        raise PermissionError(errno.EPERM, "it belongs to another user")
    return file


def _is_full(folder: int) -> bool:
    try:
        os.stat(_FULL, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True
