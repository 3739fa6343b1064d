"""Reads Delta tables in processes of their own (`livius.adapters.local.table_reader_program`).

A table's files are foreign data to a large native library: a deadline ends its process, its memory
is limited and given back, and a crash in it is an error message. One process is started in advance
of the next read, as that takes longer than reading, and ends after some minutes. Descriptions are
kept while the table's log is as it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from livius.adapters.local.os_users import OsUser
from livius.domain.contents import TablePart
from livius.domain.errors import Conflict, Unavailable
from livius.domain.ids import WorkspaceId
from livius.domain.messages import Message

_PROGRAM: Final = "livius.adapters.local.table_reader_program"
_WITHIN: Final = 15.0
_AT_ONCE: Final = 2
_MOST_WAITING: Final = 10
"""In one workspace."""

_LARGEST: Final = 4 * 1024 * 1024
_KEPT: Final = 16
_SETTLED_AFTER: Final = 2.0
"""Seconds: of two changes in one tick of the file system's clock, the second leaves no trace."""

_SPARE_FOR: Final = 100.0
"""Seconds, a little less than it waits."""

_log = structlog.get_logger(__name__)

Description = dict[str, Any]
_Key = tuple[Path, frozenset[TablePart]]
_State = tuple[int, int]


@dataclass(slots=True)
class _Line:
    """The reads of a workspace, of which the first may have a turn."""

    first: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


class TableReaders:
    """Describes tables, up to two at once and one of a workspace."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._lines: dict[WorkspaceId, _Line] = {}
        self._threads = ThreadPoolExecutor(_AT_ONCE, "table-reader")
        self._spare = _Spare()
        self._kept: OrderedDict[_Key, tuple[_State, Description]] = OrderedDict()
        weakref.finalize(self, self._spare.end)

    async def describe(
        self,
        workspace: WorkspaceId,
        table: Path,
        log: os.stat_result,
        user: OsUser | None,
        wanted: Collection[TablePart],
    ) -> Description:
        """Return the description of a table, whose log's folder has the status ``log``.

        Raises:
            Unavailable: it could not be read in time, its process ended, or many others wait.
            Conflict: it can't be read.
        """
        key, state = (table, frozenset(wanted)), (log.st_ino, log.st_mtime_ns)
        before = self._kept.get(key)
        if before is not None and before[0] == state and user is None:
            self._kept.move_to_end(key)
            return before[1]
        try:
            async with asyncio.timeout(_WITHIN), self._turn(workspace):
                found = await self._read(table, user, wanted)
        except TimeoutError as error:
            raise Unavailable(
                "TableTooSlow",
                Message(
                    "The table could not be read within %(seconds)s s. Query it in a session.",
                    seconds=f"{_WITHIN:.0f}",
                ),
            ) from error
        if user is None and time.time() - log.st_mtime > _SETTLED_AFTER:
            self._kept[key] = state, found
            self._kept.move_to_end(key)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found

    def prepare(self) -> None:
        """Start a process for the next read, if none waits for it. It never blocks."""
        self._threads.submit(self._spare.prepare)

    @asynccontextmanager
    async def _turn(self, workspace: WorkspaceId) -> AsyncIterator[None]:
        """Wait for a turn.

        Raises:
            Unavailable: many others of the workspace wait.
        """
        line = self._lines.setdefault(workspace, _Line())
        if line.length > _MOST_WAITING:
            raise Unavailable(
                "TablesBusy",
                Message("Many tables of this workspace are being read now. Try again in a minute."),
            )
        line.length += 1
        try:
            async with line.first, self._turns:
                yield
        finally:
            line.length -= 1
            if line.length == 0:
                del self._lines[workspace]

    async def _read(
        self, table: Path, user: OsUser | None, wanted: Collection[TablePart]
    ) -> Description:
        task = {
            "folder": str(table),
            "user": None if user is None else user.number,
            "wanted": sorted(wanted),
        }
        child = self._spare.take()
        answer = self._threads.submit(_answer, child, json.dumps(task).encode() + b"\n")
        try:
            said = await asyncio.wrap_future(answer)
        finally:
            # The thread that waits for it ends with it; if none does yet, one sees to its end.
            child.kill()
            if answer.cancel():
                self._threads.submit(child.communicate)
            self.prepare()
        if child.returncode != 0 or len(said) > _LARGEST:
            _log.warning("table_unreadable", table=str(table), code=child.returncode)
            raise Unavailable(
                "TableUnreadable",
                Message("The table could not be read here. Query it in a session."),
            )
        found: Description = json.loads(said)
        if "error" in found:
            raise Conflict(
                "TableUnreadable",
                Message(
                    "The folder could not be read as a Delta table: %(error)s",
                    error=found["error"],
                ),
            )
        return found


class _Spare:
    """A process that waits for its task, if there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._until = 0.0
        self._has_ended = False

    def take(self) -> subprocess.Popen[bytes]:
        """Return the spare, or a new one: the caller's from now on."""
        with self._lock:
            if self._child is not None and time.monotonic() > self._until:
                self._discard()
            child, self._child = self._child, None
        return child or _started()

    def prepare(self) -> None:
        """Start a spare if there is none."""
        with self._lock:
            if self._child is not None and self._child.poll() is not None:
                self._discard()
            if self._child is None and not self._has_ended:
                self._child = _started()
                self._until = time.monotonic() + _SPARE_FOR

    def end(self) -> None:
        """End the spare, for good."""
        with self._lock:
            self._has_ended = True
            self._discard()

    def _discard(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


def _answer(child: subprocess.Popen[bytes], task: bytes) -> bytes:
    """Return what a process answers, at most a byte more than it may, and wait for its end."""
    assert child.stdin is not None  # noqa: S101 - as it was started
    assert child.stdout is not None  # noqa: S101
    with child:
        with suppress(BrokenPipeError):
            child.stdin.write(task)
            child.stdin.close()
        said = child.stdout.read(_LARGEST + 1)
        if len(said) > _LARGEST:
            child.kill()
    return said


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")},
    )
