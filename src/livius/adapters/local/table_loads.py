"""Loads of tables, each in a process of its own that ends with the gateway.

A new table is made in a folder of the gateway's own, and gets its place when it is whole: a load
that is cut off leaves nothing, a crash only what the next start removes.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
import structlog

from livius.adapters.local.lakehouses import lakehouse_folder
from livius.adapters.local.table_claims import TableClaims
from livius.domain.errors import Invalid, Unavailable
from livius.domain.lakehouse import Lakehouse
from livius.domain.table_load import TableLoad
from livius.ports.table_loads import Progress

_log = structlog.get_logger(__name__)
_PROGRAM: Final = "livius.adapters.local.table_load_program"
_LOOK_EVERY: Final = 0.1
_MOST_BEFORE_THE_END: Final = 95
MEMORY: Final = 2 * 1024**3
"""What a load may take, in bytes."""


class LocalTableLoads:
    """Implements `livius.ports.table_loads.TableLoads`.

    Lakehouses are below ``root``; the folder ``unfinished``, on the same disk, is for tables that
    are not whole yet. ``apart``: drivers run as users of their own. The gateway has more rights
    than these, so it must not follow the paths in folders that they write to. A load that takes
    more than ``memory`` bytes is ended. ``claims`` has the tables that are being changed.
    """

    def __init__(
        self,
        root: Path,
        unfinished: Path,
        *,
        apart: bool,
        claims: TableClaims,
        memory: int = MEMORY,
    ) -> None:
        self._root = root
        self._claims = claims
        self._memory = memory
        self._unfinished = unfinished
        self._apart = apart

    def remove_unfinished(self) -> None:
        """Remove what an earlier gateway has left. Only before the first load."""
        shutil.rmtree(self._unfinished, ignore_errors=True)

    async def load(
        self,
        lakehouse: Lakehouse,
        load: TableLoad,
        progress: Progress,
        register: Callable[[], Awaitable[None]],
    ) -> None:
        """See the port."""
        if self._apart:
            raise Unavailable(
                "LoadNotAvailable",
                "This server runs sessions as users of their own and loads no files for them. Run "
                f"this in a session of the lakehouse: {load.statement}",
            )
        root = lakehouse_folder(self._root, lakehouse.workspace, lakehouse.id)
        target = (root / "Tables").joinpath(*load.table_in(lakehouse).parts)
        with self._claims.claim(target):
            await self._load(load, root, target, progress)
            # A session may have dropped it already.
            if await asyncio.to_thread((target / "_delta_log").is_dir):
                await register()

    async def _load(self, load: TableLoad, root: Path, target: Path, progress: Progress) -> None:
        stage = await asyncio.to_thread(self._stage)
        task = {
            **load.as_request(),
            "suffix": load.suffix,
            "root": str(root),
            "target": str(target),
            "stage": str(stage),
        }
        try:
            answer = await self._run(task, progress)
        finally:
            await asyncio.to_thread(shutil.rmtree, stage, ignore_errors=True)
        if "error" in answer:
            raise Invalid("LoadFailed", answer["error"])

    def _stage(self) -> Path:
        """Return a new folder for links to the files, and for a new table."""
        self._unfinished.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._unfinished))

    async def _run(self, task: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
        size = await asyncio.to_thread(_size, task)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _PROGRAM),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
        )
        assert process.stdin is not None  # noqa: S101 - by the arguments above
        assert process.stdout is not None  # noqa: S101
        watching = asyncio.create_task(self._watch(process, size, progress))
        try:
            process.stdin.write(json.dumps(task).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            watching.cancel()
            await asyncio.wait([watching])
            await process.wait()
        if not line:
            raise Unavailable(
                "LoadFailed",
                "The process that loaded the files ended by itself: it may take "
                f"{self._memory >> 20} MB of memory, and the server's memory or disk may be short. "
                "The table is as it was. Load large files in a session, or try again later.",
            )
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    async def _watch(self, process: Process, size: int, progress: Progress) -> None:
        """Report how much of the files was read, and end a process that takes too much memory.

        A limit of the kernel's would not do: the library's threads wait for each other for ever
        when one of them gets no memory.
        """
        seen = percent = 0
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            with suppress(psutil.Error, OSError):
                child = psutil.Process(process.pid)
                if child.memory_info().rss > self._memory:
                    child.kill()
                    return
                percent = min(
                    _MOST_BEFORE_THE_END, 100 * child.io_counters().read_chars // max(1, size)
                )
            if percent > seen:
                seen = percent
                try:
                    await progress(percent)
                except Exception:  # noqa: BLE001 - the load goes well all the same, and needs its guard
                    _log.warning("load_progress_not_stored", exc_info=True)


def _size(task: Mapping[str, Any]) -> int:
    """Return the bytes that the load will read: those of texts twice, for types and rows."""
    place = Path(task["root"]) / task["path"]
    with suppress(OSError):
        files = place.rglob("*") if place.is_dir() else (place,)
        bytes_once = sum(int(one.stat().st_size) for one in files)
        return bytes_once if task["format"] == "Parquet" else 2 * bytes_once
    return 0
