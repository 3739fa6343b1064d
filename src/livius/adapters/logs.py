"""Drivers' logs as files in their folders."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from livius.domain.ids import DriverId
from livius.ports.logs import LogFile
from livius_agent.files import open_regular
from livius_agent.redact import Secrets
from livius_agent.spec import STDERR, STDOUT, WORK

_FILES: Final = {"stdout": STDOUT, "stderr": STDERR}


class FileDriverLogs:
    """Implements `livius.ports.logs.DriverLogs`. ``drivers`` holds the drivers' folders."""

    def __init__(self, drivers: Path) -> None:
        self._drivers = drivers

    async def files(self, driver: DriverId) -> Sequence[LogFile]:
        """See the port."""
        return await asyncio.to_thread(self._files, driver)

    def _files(self, driver: DriverId) -> Sequence[LogFile]:
        found = []
        for name, file in sorted(_FILES.items()):
            path = self._drivers / driver / file
            try:
                with open_regular(path) as opened:
                    stat = os.fstat(opened.fileno())
                # The folder is as old as the driver; the time of a file's birth is not portable.
                started_at = path.parent.stat().st_ctime
            except OSError:
                continue
            found.append(
                LogFile(
                    name=name,
                    size=stat.st_size,
                    created_at=datetime.fromtimestamp(min(started_at, stat.st_mtime), UTC),
                    changed_at=datetime.fromtimestamp(stat.st_mtime, UTC),
                )
            )
        return found

    async def read(self, driver: DriverId, name: str, *, offset: int, size: int) -> bytes:
        """See the port."""
        file = _FILES.get(name)
        if file is None:
            return b""
        return await asyncio.to_thread(_read, self._drivers / driver / file, offset, size)


def _read(path: Path, offset: int, size: int) -> bytes:
    """Return a piece of the log with the driver's secrets redacted, each byte at its offset."""
    secrets = Secrets.handed_out(path.parent / WORK)
    before = min(offset, secrets.longest)
    try:
        with open_regular(path) as file:
            file.seek(offset - before)
            data = file.read(before + size + secrets.longest)
    except OSError:
        return b""
    return secrets.masked(data)[before : before + size]
