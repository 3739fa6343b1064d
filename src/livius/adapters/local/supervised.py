"""Processes that outlive the gateway, each under a supervisor of its own.

The supervisor is `livius_agent.supervisor`. A supervised process is identified by its folder.
Everything here is read from the folder and from ``/proc``, so a gateway that has just started knows
as much as the one that launched the process.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import structlog

from livius_agent.files import read_tail
from livius_agent.redact import Secrets
from livius_agent.spec import (
    CLAIM,
    EXIT_RECORD,
    MARKER,
    PID_RECORD,
    STDERR,
    STDOUT,
    SUPERVISOR_SPEC,
    WORK,
    ExitRecord,
    ProcessId,
    Spec,
    SupervisorSpec,
    explanatory_lines,
    is_running,
    read,
    write,
)

_APPEARS_WITHIN: Final = 10.0
_ENDS_WITHIN: Final = 10.0
_CLAIMED_WITHIN: Final = 2.0
_LOOK_AT_CLAIM: Final = 0.002
_LOOK_EVERY: Final = 0.02
_QUIET_LOOKS: Final = 2
_TAIL_BYTES: Final = 64 * 1024

_log = structlog.get_logger(__name__)

_PASSED_ON: Final = (
    "LANG",
    "LC_ALL",
    "TZ",
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
"""The gateway's variables that such a process gets: none that could contain a secret of ours."""


class SupervisorFailed(Exception):
    """A supervisor did not start."""


@dataclass(frozen=True, slots=True)
class SupervisedProcess:
    """One process. ``python`` runs the supervisor, ``agent`` is the folder of its package."""

    folder: Path
    python: Path
    agent: Path

    def was_launched(self) -> bool:
        """Tell whether a supervisor has ever begun, even if its record is unreadable."""
        return any(path.exists() for path in _both(self.folder / PID_RECORD))

    def supervisor(self) -> ProcessId | None:
        """Return the supervisor, if it runs."""
        process = read_record(self.folder / PID_RECORD, ProcessId)
        return process if process is not None and is_running(process) else None

    def exit(self) -> ExitRecord | None:
        """Return how the process ended, if the supervisor recorded it."""
        return read_record(self.folder / EXIT_RECORD, ExitRecord)

    async def launch(self, spec: SupervisorSpec) -> None:
        """Start the supervisor and return once it has begun. Records of an earlier run are removed.

        Cancellation is deferred until the launch completes (seconds at most), so that the folder
        always records the process that was started: the next gateway can adopt it or end it.

        Raises:
            SupervisorFailed: it did not start; the message has its output.
        """
        await _to_its_end(self._launch(spec))

    async def _launch(self, spec: SupervisorSpec) -> None:
        for name in (PID_RECORD, EXIT_RECORD):
            for path in _both(self.folder / name):
                path.unlink(missing_ok=True)
        write(self.folder / SUPERVISOR_SPEC, spec)
        with (self.folder / STDERR).open("ab") as stderr:
            # A session of its own: signals for the gateway's terminal don't reach it.
            process = await asyncio.create_subprocess_exec(
                *(self.python, "-s", "-P", "-m", "livius_agent.supervisor", self.folder),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env=clean_environment({"PYTHONPATH": str(self.agent)}),
                cwd=self.folder,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(_APPEARS_WITHIN):
                code = await process.wait()  # The supervisor itself continues.
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            await self.end()
            raise SupervisorFailed("The supervisor did not start in time.") from None
        if code != 0 or not self.was_launched():
            raise SupervisorFailed(
                f"The supervisor ended with exit code {code}: "
                + " ".join(self.tail(STDERR, lines=3))
            )

    async def end(self) -> None:
        """End the process and all of its descendants. Harmless if it has ended."""
        supervisor = self.supervisor()
        if supervisor is not None:
            _signal(supervisor, signal.SIGTERM)
            if not await _gone(supervisor):
                _signal(supervisor, signal.SIGKILL)
                await _gone(supervisor)
        if self.exit() is None:
            # A killed supervisor could not end its descendants; they have its mark.
            await asyncio.to_thread(_sweep, self.folder)

    async def claim(self, lakehouse: Path) -> None:
        """Have the supervisor give a process that waits its priority and lakehouse; await that.

        Where the machine can't show the lakehouse, a line in the process's log says so.
        """
        supervisor = self.supervisor()
        if supervisor is None:
            return
        file = self.folder / CLAIM
        partial = file.with_name(f"{file.name}.partial")
        partial.write_text(str(lakehouse), encoding="utf-8")
        partial.replace(file)
        _signal(supervisor, signal.SIGUSR1)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLAIMED_WITHIN):
                while file.exists() and is_running(supervisor):
                    await asyncio.sleep(_LOOK_AT_CLAIM)

    def tail(self, name: str, *, lines: int) -> tuple[str, ...]:
        """Return the last lines of one of the folder's logs. It blocks."""
        text = read_tail(self.folder / name, _TAIL_BYTES).decode("utf-8", errors="replace")
        return tuple(Secrets.handed_out(self.folder / WORK).text(text).splitlines()[-lines:])

    def log_tail(self, *, lines: int) -> tuple[str, ...]:
        """Return the last significant lines of its output, errors last. It blocks."""
        printed = (*self.tail(STDOUT, lines=lines), *self.tail(STDERR, lines=lines))
        return explanatory_lines(printed)[-lines:]

    async def remove(self) -> None:
        """Delete the folder of an ended process."""
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)


def read_record(path: Path, kind: type[Spec]) -> Spec | None:
    """Return a record of the folder; None if there is no readable one.

    An unreadable one, such as after a power cut, is renamed and logged, so that it causes no
    further errors.
    """
    try:
        return read(path, kind)
    except (ValueError, OSError) as error:
        aside = _both(path)[1]
        with suppress(OSError):
            path.replace(aside)
        _log.error("record_set_aside", file=str(aside), reason=str(error))
        return None


def _both(path: Path) -> tuple[Path, Path]:
    """Return the path of a record, and its path after a rename."""
    return path, path.with_name(f"{path.name}.unreadable")


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await work that must be completed and has a deadline of its own."""
    # A TaskGroup would cancel it with us, which must not happen.
    task = asyncio.ensure_future(work)  # noqa: TID251 - it is awaited here, come what may
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    with suppress(Exception):
        task.result()  # nobody waits for what it says
    raise cancelled


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a supervised process: short, and without secrets."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"LANG": "C.UTF-8", "PATH": os.defpath, **passed, **more}


def _signal(process: ProcessId, number: int) -> None:
    """Send a signal to exactly this process, never to a later one with its id."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if is_running(process):
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


async def _gone(process: ProcessId) -> bool:
    try:
        async with asyncio.timeout(_ENDS_WITHIN):
            while is_running(process):
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Kill every process with the folder's mark, until two searches find none.

    A process shows no mark during an exec.
    """
    quiet = 0
    for _ in range(20):
        marked = [process for process in psutil.process_iter() if _is_marked(process, str(folder))]
        quiet = 0 if marked else quiet + 1
        if quiet == _QUIET_LOOKS:
            return
        if not marked:
            time.sleep(_LOOK_EVERY)
        for process in marked:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(marked, timeout=1)


def _is_marked(process: psutil.Process, folder: str) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARKER) == folder
    except (psutil.Error, OSError):
        return False
