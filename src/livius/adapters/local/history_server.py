"""Spark's History Server: one process at most, started when wanted, ended when idle.

It reads event logs, which are drivers' and so untrusted. It gets copies of those that a caller
wants to see, in a folder of its own; an application is what the gateway calls it (see
`History.scala`). It serves only requests with a token of this gateway, since any program of this
machine can reach its port. It ends with the gateway, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import structlog

from livius.adapters.local.event_logs import FileEventLogs
from livius.adapters.local.os_users import OsUser, OsUsers, give, share
from livius.adapters.local.runtimes import Runtime, module_options
from livius.adapters.local.supervised import clean_environment
from livius.domain.conf_secrets import REDACTION_PATTERN
from livius.domain.errors import NotFound, Unavailable
from livius.domain.ids import DriverId
from livius.domain.messages import Message
from livius.ports.history import Opening
from livius.ports.logs import SparkAddress
from livius_agent.files import read_tail

_HEAP: Final = 512
_BESIDE_HEAP: Final = 256
"""Megabytes, both."""
_STARTS_WITHIN: Final = 90.0
_WAIT: Final = 25.0
"""How long a request waits for the start. It is shorter than the patience of usual clients."""
_IDLE: Final = timedelta(minutes=10)
_LOOK_EVERY: Final = 0.1
_REST_AFTER_FAILURE: Final = 15.0
_RETRY_AFTER: Final = timedelta(seconds=5)
_MOST_LOGS: Final = 8
_RETAINED: Final = 4
"""How many applications it has in memory."""
_TAIL: Final = 2000
_LOOPBACK: Final = "127.0.0.1"
_FILTER: Final = "livius.OnlyWithToken"

_log = structlog.get_logger(__name__)


class HistoryServerFailed(Exception):
    """It did not start, or ended by itself."""


class LocalHistoryServer:
    """Implements `livius.ports.history.SparkHistory`; ``run`` is its service.

    ``folder`` is its own, ``check_room`` refuses a start without so many megabytes of memory,
    ``shared_classes`` are Java's options for a class archive. It ends after ``idle`` without a
    request.
    """

    def __init__(
        self,
        folder: Path,
        runtime: Runtime,
        agent: Path,
        logs: FileEventLogs,
        users: OsUsers,
        *,
        check_room: Callable[[int], None],
        shared_classes: Callable[[], tuple[str, ...]] = lambda: (),
        idle: timedelta = _IDLE,
    ) -> None:
        self._folder = folder
        self._runtime = runtime
        self._agent = agent
        self._logs = logs
        self._users = users
        self._check_room = check_room
        self._shared_classes = shared_classes
        self._idle = idle.total_seconds()
        self._wanted = asyncio.Event()
        self._copying = asyncio.Lock()
        self._serving: _Serving | None = None
        self._failure: tuple[float, str] | None = None
        self._used = 0.0

    def opening(self) -> Opening:
        """See the port."""
        if self._serving is not None:
            return Opening.READY
        if self._wanted.is_set():
            return Opening.STARTING
        return Opening.FAILED if self._reason() else Opening.ABSENT

    def begin(self) -> None:
        """See the port."""
        self._used = asyncio.get_running_loop().time()
        if self.opening() is Opening.ABSENT:
            self._check_room(_HEAP + _BESIDE_HEAP)
            self._wanted.set()

    async def open(self, driver: DriverId) -> SparkAddress:
        """See the port."""
        if await self._logs.find(driver) is None:
            raise _no_log()
        self.begin()
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT):
                while self.opening() is Opening.STARTING:
                    await asyncio.sleep(_LOOK_EVERY)
        serving = self._serving
        if serving is None:
            raise self._not_there()
        self._used = asyncio.get_running_loop().time()
        async with self._copying:
            if driver not in serving.logs:
                await self._copy(serving, driver)
        return SparkAddress(url=serving.url, application=driver, token=serving.token)

    def _not_there(self) -> Unavailable:
        reason = self._reason()
        message = (
            Message("Spark's History Server does not start: %(reason)s", reason=reason)
            if reason
            else Message("Spark's History Server is starting. Try again in a moment.")
        )
        return Unavailable("SparkHistoryUnavailable", message, retry_after=_RETRY_AFTER)

    def _reason(self) -> str:
        """Return why the last start failed, for a while: then the next request starts it again."""
        if self._failure is None:
            return ""
        at, reason = self._failure
        over = asyncio.get_running_loop().time() - at > _REST_AFTER_FAILURE
        return "" if over else reason

    async def _copy(self, serving: _Serving, driver: DriverId) -> None:
        for earlier in serving.logs[: -_MOST_LOGS + 1]:
            (self._copies / earlier).unlink(missing_ok=True)
            serving.logs.remove(earlier)
        try:
            await asyncio.to_thread(self._copy_one, driver, serving.user)
        except FileNotFoundError:
            raise _no_log() from None
        except OSError as error:
            _log.warning("event_log_not_copied", driver=driver, reason=repr(error))
            raise Unavailable(
                "SparkHistoryUnavailable",
                Message("The session's event log can't be read now: %(why)s.", why=error.strerror),
                retry_after=_RETRY_AFTER,
            ) from error
        serving.logs.append(driver)

    def _copy_one(self, driver: DriverId, user: OsUser | None) -> None:
        partial = self._folder / "partial"
        with partial.open("wb") as target:
            self._logs.copy(driver, target)
        share(partial, user, 0o640)
        partial.replace(self._copies / driver)

    @property
    def _copies(self) -> Path:
        return self._folder / "logs"

    async def run(self) -> None:
        """Serve whenever it is wanted, until cancelled."""
        # Copies that a killed gateway has left.
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        while True:
            await self._wanted.wait()
            self._failure = None
            try:
                async with self._process() as serving:
                    await serving.comes_up()
                    self._serving = serving
                    self._used = asyncio.get_running_loop().time()
                    _log.info("history_server_started", url=serving.url)
                    await self._until_idle(serving)
            except (HistoryServerFailed, TimeoutError, OSError) as error:
                reason = str(error) or "it does not answer in time"
                _log.exception("history_server_failed", reason=reason)
                self._failure = (asyncio.get_running_loop().time(), reason)
            else:
                _log.info("history_server_ended")
            finally:
                self._serving = None
                self._wanted.clear()

    async def _until_idle(self, serving: _Serving) -> None:
        now = asyncio.get_running_loop().time
        while now() - self._used < self._idle:
            serving.check()
            await asyncio.sleep(min(1.0, self._idle))

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[_Serving]:
        """Run the server; at the end nothing is left of it."""
        user = await self._users.history()
        token = secrets.token_urlsafe(32)
        port = _free_port()
        await asyncio.to_thread(self._lay, user, port, token)
        number = "-" if user is None else str(user.number)
        own = self._folder / "own"
        with (self._folder / "server.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(self._runtime.python, "-s", "-P", "-m", "livius_agent.tethered"),
                *(str(os.getpid()), number, *self._command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=own,
                start_new_session=True,
                env=clean_environment(
                    {
                        "HOME": str(own),
                        "JAVA_HOME": str(self._runtime.java.parent.parent),
                        "PYTHONPATH": str(self._agent),
                        "SPARK_LOCAL_IP": _LOOPBACK,
                    }
                ),
            )
        try:
            yield _Serving(
                process=process,
                log=self._folder / "server.log",
                port=port,
                token=token,
                user=user,
            )
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await asyncio.to_thread(shutil.rmtree, self._copies, ignore_errors=True)

    def _command(self) -> tuple[str, ...]:
        return (
            str(self._runtime.java),
            # As for the metastore: small, and shorter to start than it is to optimize.
            *(f"-Xmx{_HEAP}m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError"),
            f"-Djava.io.tmpdir={self._folder / 'own'}",
            *module_options(),
            *self._shared_classes(),
            *("-cp", ":".join(map(str, self._runtime.jars))),
            "org.apache.spark.deploy.history.livius.Main",
            *("--properties-file", str(self._folder / "spark.conf")),
        )

    def _lay(self, user: OsUser | None, port: int, token: str) -> None:
        """Replace the folder by a new one, for this user."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True)
        for name in ("own", "logs"):
            (self._folder / name).mkdir(mode=0o700)
        conf = self._folder / "spark.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            "".join(
                f"{name} {value}\n" for name, value in _conf(self._copies, port, token).items()
            ),
            encoding="utf-8",
        )
        give(self._folder / "own", user)
        for path, mode in ((conf, 0o640), (self._copies, 0o750), (self._folder, 0o710)):
            share(path, user, mode)


class _Serving:
    """A process of the server. ``logs`` are the drivers whose logs it has got."""

    def __init__(
        self,
        *,
        process: asyncio.subprocess.Process,
        log: Path,
        port: int,
        token: str,
        user: OsUser | None,
    ) -> None:
        self._process = process
        self._log = log
        self._port = port
        self.url = f"http://{_LOOPBACK}:{port}"
        self.token = token
        self.user = user
        self.logs: list[DriverId] = []

    async def comes_up(self) -> None:
        """Return once it answers.

        Raises:
            HistoryServerFailed: it ended first.
            TimeoutError: it takes too long.
        """
        async with asyncio.timeout(_STARTS_WITHIN), httpx.AsyncClient(trust_env=False) as client:
            while not await self._answers(client):
                self.check()
                await asyncio.sleep(_LOOK_EVERY)

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        """Tell whether all of its parts are there.

        It listens before they are, and shows its first page in place of those that are missing. The
        last one knows that there is no such application.
        """
        proof = {"Authorization": f"Bearer {self.token}"}
        try:
            api = await client.get(f"{self.url}/api/v1/version", headers=proof)
            pages = await client.get(f"{self.url}/history/none", headers=proof)
        except httpx.HTTPError:
            return False
        is_json = api.headers.get("content-type", "").startswith("application/json")
        return api.is_success and is_json and pages.status_code == httpx.codes.NOT_FOUND

    def check(self) -> None:
        """Return while it runs.

        Raises:
            HistoryServerFailed: it has ended; the log has its last words, the message a few.
        """
        code = self._process.returncode
        if code is None:
            return
        said = read_tail(self._log, _TAIL).decode("utf-8", "replace")
        _log.error("history_server_said", log=said)
        memory = " for want of memory" if "OutOfMemoryError" in said else ""
        raise HistoryServerFailed(f"it ended{memory} with exit code {code}; see livius logs")


def _conf(copies: Path, port: int, token: str) -> Mapping[str, str]:
    return {
        "spark.history.provider": "org.apache.spark.deploy.history.livius.History",
        "spark.history.fs.logDirectory": str(copies),
        "spark.history.ui.port": str(port),
        "spark.port.maxRetries": "0",
        "spark.history.retainedApplications": str(_RETAINED),
        # The tasks of one application that it has in memory; Spark's default is ten times as many.
        "spark.ui.retainedTasks": "10000",
        "spark.redaction.regex": REDACTION_PATTERN,
        "spark.ui.filters": _FILTER,
        f"spark.{_FILTER}.param.token": token,
    }


def _free_port() -> int:
    with socket.create_server((_LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


def _no_log() -> NotFound:
    return NotFound(
        "SparkCoreItemNotFound",
        Message(
            "The session has ended and has no event log, so there are no pages of its jobs and "
            "stages. Its logs and statements can still be read. The operator's setting "
            "LIVIUS_EVENT_LOG_LIMIT switches event logs on and off."
        ),
    )
