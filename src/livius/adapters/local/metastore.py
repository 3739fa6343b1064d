"""The Hive Metastore: one per data folder, on loopback, outliving the gateway."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any, Final

import structlog

from livius.adapters.local.lakehouse_index import callers_file, index_file
from livius.adapters.local.os_users import OsUser, OsUsers, share
from livius.adapters.local.runtimes import Runtime, module_options
from livius.adapters.local.supervised import (
    SupervisedProcess,
    SupervisorFailed,
    clean_environment,
    read_record,
)
from livius.domain.errors import Unavailable
from livius_agent.files import read_regular
from livius_agent.spec import SUPERVISOR_SPEC, SupervisorSpec

_READY_WITHIN: Final = 60.0
_COMES_UP_WITHIN: Final = 180.0
"""On a busy machine the first start, which makes the database, takes longer than sessions wait."""
_LOOK_EVERY: Final = 0.05
_WATCH_EVERY: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_SMALL: Final = 4096
_PORT: Final = "port"
_DERBY: Final = "derby"
_DATABASE: Final = "db"
_MADE: Final = "service.properties"
"""Derby's own file, without which a folder is no database."""
_TEMPORARY: Final = "tmp"
_READY: Final = "ready.json"
_CALLERS: Final = "--callers"

_log = structlog.get_logger(__name__)


def ready_file(folder: Path) -> Path:
    """Return the file that a metastore writes once it answers: ``{"port": …}``."""
    return folder / _DERBY / _READY


def _lay(folder: Path, user: OsUser | None) -> None:
    """Make the folders.

    The database's belongs to the metastore's user, also after a change of that.
    """
    derby = folder / _DERBY
    _clear_half_made(derby / _DATABASE)
    (derby / _TEMPORARY).mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    share(folder, user, 0o710)
    owner = os.geteuid() if user is None else user.number
    if {derby.stat().st_uid, (derby / _TEMPORARY).stat().st_uid} != {owner}:
        for _, folders, files, descriptor in os.fwalk(derby):
            for name in (*folders, *files):
                os.chown(name, owner, -1, dir_fd=descriptor, follow_symlinks=False)
        os.chown(derby, owner, -1)


def _clear_half_made(database: Path) -> None:
    """Remove a database whose making was cut off: Derby neither opens nor replaces it."""
    if database.is_dir() and not (database / _MADE).exists():
        _log.warning("half_made_database_removed", folder=str(database))
        shutil.rmtree(database)


def _port_in(value: Any) -> int:
    """Return the port in a file.

    Raises:
        ValueError: it is none.
    """
    if type(value) is not int or not 0 < value < 1 << 16:
        raise ValueError(f"{value!r} is no port")
    return value


class LocalMetastore:
    """Our metastore process, adopted if it runs already.

    Two metastores on one Derby folder end each other, so a survivor is never replaced. Its port
    never changes: running drivers use it after a restart of either side.
    """

    def __init__(
        self,
        folder: Path,
        runtime: Runtime,
        agent: Path,
        *,
        lakehouses: Path,
        names: Path,
        users: OsUsers,
    ) -> None:
        self._folder = folder
        self._users = users
        self._lakehouses = lakehouses
        self._names = names
        self._runtime = runtime
        self._process = SupervisedProcess(folder, runtime.python, agent)
        self._wanted = True
        self._launching = asyncio.Lock()

    async def uri(self) -> str:
        """Return the address once the metastore answers.

        Raises:
            Unavailable: it does not within a minute.
        """
        try:
            async with asyncio.timeout(_READY_WITHIN):
                while (port := self.port()) is None:
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise Unavailable(
                "MetastoreUnavailable", "The metastore does not answer. See: livius logs"
            ) from None
        return f"thrift://127.0.0.1:{port}"

    def port(self) -> int | None:
        """Return its port; None while it starts, or if its file is unreadable."""
        if self._process.supervisor() is None:
            return None
        try:
            return _port_in(json.loads(read_regular(ready_file(self._folder), _SMALL))["port"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            # The metastore writes it atomically. A power cut can break it, but also ends its
            # process.
            return None

    async def run(self) -> None:
        """Keep a metastore running until cancelled; it is left running then."""
        await self._end_another_kind()
        pause = _WATCH_EVERY
        while True:
            if self._wanted and self._process.supervisor() is None:
                try:
                    async with self._launching:
                        await self._launch()
                    await self._comes_up()
                    pause = _WATCH_EVERY
                except (SupervisorFailed, TimeoutError, OSError) as error:
                    _log.exception("metastore_failed", again_in=pause, error=str(error))
                    await self._process.end()
                    pause = min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _end_another_kind(self) -> None:
        """End a survivor of another setting: it would accept any caller, or none.

        Also end one with unreadable files, which alone have its setting and port. Running drivers
        find the next one at the same port.
        """
        user = await self._users.metastore()
        spec = read_record(self._folder / SUPERVISOR_SPEC, SupervisorSpec)
        is_lost = ready_file(self._folder).exists() and self.port() is None
        if spec is None or is_lost or (_CALLERS in spec.command) != (user is not None):
            await self._process.end()

    async def _launch(self) -> None:
        ready, user = ready_file(self._folder), await self._users.metastore()
        await self._process.end()  # what a killed supervisor may have left
        await asyncio.to_thread(_lay, self._folder, user)
        ready.unlink(missing_ok=True)
        command = (
            str(self._runtime.java),
            # A small process with a long life: these options save a fifth of its memory.
            *("-Xmx256m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={self._folder / _DERBY / _TEMPORARY}",
            *module_options(),
            "-cp",
            ":".join(map(str, self._runtime.jars)),
            "livius.Metastore",
            *("--data", str(self._folder / _DERBY)),
            *("--port", str(self._stored_port())),
            *("--ready", str(ready)),
            *("--onelake", str(self._lakehouses)),
            *("--names", str(index_file(self._names))),
            *(() if user is None else (_CALLERS, str(callers_file(self._names)))),
        )
        _log.info("metastore_launched")
        await self._process.launch(
            SupervisorSpec(
                command=command,
                env=clean_environment({"HOME": str(self._folder / _DERBY)}),
                cwd=str(self._folder / _DERBY),
                user=None if user is None else user.number,
                groups=() if user is None else tuple(user.groups),
            )
        )

    async def _comes_up(self) -> None:
        """Return once it answers, or is no longer wanted.

        Raises:
            SupervisorFailed: it ended first; the message has its last lines.
            TimeoutError: it does not answer within three minutes.
        """
        async with asyncio.timeout(_COMES_UP_WITHIN):
            while self._wanted and self.port() is None:
                if self._process.supervisor() is None:
                    said = self._process.log_tail(lines=3)
                    raise SupervisorFailed(" ".join(("The metastore ended at its start.", *said)))
                await asyncio.sleep(_LOOK_EVERY)

    def _stored_port(self) -> int:
        """Return the stored port; the first time, a free one."""
        path = self._folder / _PORT
        try:
            return _port_in(int(read_regular(path, _SMALL)))
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            _log.error("record_set_aside", file=str(path), reason=str(error))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        path.write_text(str(port), encoding="ascii")
        return port

    async def end(self) -> bool:
        """End it, and launch none again; tell whether it ran."""
        self._wanted = False
        async with self._launching:  # One that is on its way can be ended once it is there.
            ran = self._process.supervisor() is not None
            await self._process.end()
        return ran
