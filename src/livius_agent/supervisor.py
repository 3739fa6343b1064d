"""The supervisor: starts one command, waits for it, records its end, ends its descendants.

    python -m livius_agent.supervisor FOLDER

It reads ``supervisor.json`` in the folder (see `livius_agent.spec`) and imports the standard
library only: it lives as long as its command and should cost next to nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from livius_agent.files import read_tail
from livius_agent.memory import OutOfMemoryKills
from livius_agent.mount import make_place, show_in
from livius_agent.process import (
    become,
    become_subreaper,
    die_with_parent,
    lower_priority,
    restore_priority,
)
from livius_agent.redact import redact_logs
from livius_agent.spec import (
    CLAIM,
    EXIT_RECORD,
    LAST_WORDS,
    MARKER,
    PID_RECORD,
    ROOT,
    STDERR,
    STDOUT,
    SUPERVISOR_SPEC,
    WORK,
    ExitRecord,
    SupervisorSpec,
    identify,
    read,
    write,
)

_LOCK: Final = "lock"
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1)
_TAIL: Final = 16 * 1024
_LOOK_EVERY: Final = 0.005


def main(folder: Path) -> int:
    """Keep the folder's command. A second supervisor of a folder has no effect."""
    with suppress(PermissionError):  # A session leader already.
        os.setsid()
    lock_file = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(lock_file, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        spec = read(folder / SUPERVISOR_SPEC, SupervisorSpec)
        myself = identify(os.getpid())
        if spec is None or myself is None:
            sys.stderr.write(f"There is no {SUPERVISOR_SPEC} in {folder}.\n")
            return 2
        become_subreaper()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        write(folder / PID_RECORD, myself)
        keep(folder, spec)
    return 0


def keep(folder: Path, spec: SupervisorSpec) -> None:
    """Run the command to its end, and record it."""
    kills = OutOfMemoryKills()
    with (folder / STDOUT).open("ab") as stdout, (folder / STDERR).open("ab") as stderr:
        command = subprocess.Popen(
            spec.command,
            env={**spec.env, MARKER: str(folder)},
            cwd=spec.cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            process_group=0,
            preexec_fn=lambda: _settle(folder, spec),  # noqa: PLW1509 - this process has one thread
        )
    status, stopped = _wait(folder, spec, command.pid)
    _end_descendants()
    redact_logs(folder / WORK, folder / STDOUT, folder / STDERR)
    for path in spec.remove:
        shutil.rmtree(path, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    write(
        folder / EXIT_RECORD,
        ExitRecord(
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            stopped=stopped,
            oom=_ran_out_of_memory(folder)
            or (code == -signal.SIGKILL and kills.sentence() is not None),
            at=time.time(),
        ),
    )


def _settle(folder: Path, spec: SupervisorSpec) -> None:
    """Make the new process what its command is to run as."""
    if spec.shows_lakehouse:
        make_place(spec.lakehouse, folder / ROOT)
    if spec.waits:
        lower_priority()
    if spec.user is not None:
        become(spec.user, spec.groups)
    die_with_parent()


def _claimed(folder: Path, spec: SupervisorSpec, pid: int) -> None:
    """Give the command its usual priority, and show it the lakehouse that the file names."""
    file = folder / CLAIM
    try:
        root = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    try:
        restore_priority(pid)
        # In a process of its own, which joins the command's namespaces.
        is_child = spec.shows_lakehouse and os.fork() == 0
    except OSError as error:
        sys.stderr.write(f"The driver was claimed, but not all was done for it: {error}\n")
        file.unlink(missing_ok=True)
        return
    if is_child:
        try:
            show_in(pid, root)
        except OSError as error:
            sys.stderr.write(f"There is no /lakehouse/default in this session: {error}\n")
        finally:
            file.unlink(missing_ok=True)
            sys.stderr.flush()
            os._exit(0)
    elif not spec.shows_lakehouse:
        file.unlink(missing_ok=True)


def _wait(folder: Path, spec: SupervisorSpec, pid: int) -> tuple[int, bool]:
    """Return the command's wait status, and whether its end was asked for."""
    stop_at: float | None = None
    while True:
        left = None if stop_at is None else max(0.0, stop_at - time.monotonic())
        came = signal.sigtimedwait(_SIGNALS, 3600 if left is None else left)
        if came is not None and came.si_signo in (signal.SIGTERM, signal.SIGINT):
            if stop_at is None:
                stop_at = time.monotonic() + spec.stop_seconds
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        elif came is not None and came.si_signo == signal.SIGUSR1:
            _claimed(folder, spec, pid)
        elif came is None and left is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            stop_at = time.monotonic() + spec.stop_seconds
        # Signals of one kind merge, so each time all that ended are taken.
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                if ended[0] == pid:
                    return ended[1], stop_at is not None


def _end_descendants() -> None:
    """Kill until there is nobody left: the children of the killed become ours."""
    while True:
        for child in _children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in path.read_text(encoding="ascii").split()]


def _ran_out_of_memory(folder: Path) -> bool:
    """Tell whether the JVM's last words were about memory."""
    return any(LAST_WORDS.encode() in read_tail(folder / log, _TAIL) for log in (STDOUT, STDERR))


def detach(folder: Path) -> None:
    """Go on in a child that belongs to nobody; the caller's own child ends as soon as it keeps.

    So the launcher of a supervisor waits for one short process, and has none on its hands that
    outlives it. That process ends with the supervisor's exit code if it did not come to keep.
    """
    supervisor = os.fork()
    if supervisor == 0:
        return
    while not (folder / PID_RECORD).exists():
        ended, status = os.waitpid(supervisor, os.WNOHANG)
        if ended:
            os._exit(abs(os.waitstatus_to_exitcode(status)))
        time.sleep(_LOOK_EVERY)
    os._exit(0)


if __name__ == "__main__":
    detach(Path(sys.argv[1]))
    sys.exit(main(Path(sys.argv[1])))
