"""The files of a launcher in a driver's folder, and the identification of its processes.

The folder is ``<data>/drivers/<driver id>/``, mode 0700. A driver that runs under a user of its own
may pass through it, read ``driver.json`` and the logs, and owns ``work/``; all else stays the
gateway's and the supervisor's:

====================  ======================================================================
``supervisor.json``       `SupervisorSpec`, written by the launcher, 0600
``driver.json``       `DriverSpec`, written by the launcher, 0600
``supervisor.pid``        `ProcessId`, the supervisor's first act; proof that the launch happened
``claim``             the lakehouse of a driver that was claimed; gone once that is seen to
``root/``             an empty folder, where `livius_agent.mount` builds the driver's root
``lock``              held by the supervisor
``exit.json``         `ExitRecord`, the supervisor's last act
``stdout.log``        what the agent and the JVM print
``stderr.log``        ditto
``eventlog/``         Spark's event log, written by the driver
``work/secret``       the driver's link secret, 0600; the agent removes it once read
``work/``             temporary files, Spark's scratch, spools and pipes; gone at the end
====================  ======================================================================

Standard library only: gateway and driver share this module, like `livius_agent.wire`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from livius_agent.files import read_regular

SUPERVISOR_SPEC: Final = "supervisor.json"
DRIVER_SPEC: Final = "driver.json"
SECRET: Final = "secret"  # noqa: S105 - a file's name
PID_RECORD: Final = "supervisor.pid"
EXIT_RECORD: Final = "exit.json"
STDOUT: Final = "stdout.log"
STDERR: Final = "stderr.log"
WORK: Final = "work"
ROOT: Final = "root"
"""An empty folder, where `livius_agent.mount` builds the driver's root; gone at the end."""
EVENT_LOG: Final = "eventlog"
"""The folder of Spark's event log; see `EventLog.scala`."""
CLAIM: Final = "claim"
"""A file with the lakehouse's folder, once a driver of the starter pool is claimed. The supervisor
reads it at a SIGUSR1, sees to folder and priority, and removes it."""
CLASSES: Final = "classes.jsa"
"""The archive that `livius_agent.cds_training` leaves in its folder."""

MARKER: Final = "LIVIUS_DRIVER"
"""The variable that every process of a driver inherits; its value is the supervisor's folder."""


LIBRARIES: Final = "LIVIUS_LIBRARIES"
"""The variable with the folders of an environment's Python libraries (`livius_agent.packages`)."""


LAST_WORDS: Final = "Terminating due to java.lang.OutOfMemoryError: "
"""What a JVM says before it ends itself for want of memory; the kind of memory follows."""


def python_path(agent: Path) -> str:
    """Return where a driver's Python looks first: our package, and what session code imports."""
    return os.pathsep.join(map(str, (agent, agent / "livius_agent" / "importable")))


_LARGEST: Final = 16 * 1024 * 1024
_LONGEST_LINE: Final = 2000
_NOISE: Final = re.compile(
    r"(cancelled|cancel) job group livius-|Attempting to kill Python Worker"
    r"|WARN SparkConf: Note that|^WARNING: |^Setting default log level"
    r"|^To adjust logging level|Using Spark's default log4j profile"
    r"|WARN NativeCodeLoader|WARN Utils: (Your hostname|Set SPARK_LOCAL_IP)"
)
"""Lines of each driver's log, and of our own handling of a death, which explain nothing."""


def explanatory_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines of a driver's log that may explain its end."""
    cut = (line[:_LONGEST_LINE] for line in lines)
    return tuple(line for line in cut if line.strip() and not _NOISE.search(line))


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSpec:
    """One command to run, to wait for, and to clean up after.

    ``env`` is the whole environment of the command. ``remove`` names folders to delete at the
    end, ``stop_seconds`` how long the command may take to end after SIGTERM. ``user`` is the uid,
    and gid, that the command runs under, in the further ``groups``; None: the supervisor's own.
    With ``shows_lakehouse`` it gets a place to show a lakehouse at by `livius_agent.mount`;
    ``lakehouse`` is that folder. A command that ``waits`` has a low priority, and gets its
    lakehouse later: see `CLAIM`.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    remove: tuple[str, ...] = ()
    stop_seconds: float = 5.0
    user: int | None = None
    groups: tuple[int, ...] = ()
    shows_lakehouse: bool = False
    lakehouse: str | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSpec:
    """All that an agent needs to know to start one driver.

    ``jars`` is the class path in its fixed order, ``conf`` the complete Spark conf,
    ``java_options`` what stands before the class path. ``address_file`` holds
    ``{"url": "ws://…"}`` and is read afresh at each dial. An agent that reaches no gateway for
    ``lease_seconds`` ends its driver. ``cancel_seconds`` is how long code that was interrupted may
    take to end; ``disk_reserve_bytes`` is what spooled output leaves free on the disk.
    ``lakehouse_root`` is None for a driver of the starter pool, which is bound to one later.
    """

    driver: str
    repl: str
    address_file: str
    java: str
    java_options: tuple[str, ...]
    spark_home: str
    jars: tuple[str, ...]
    conf: Mapping[str, str]
    lakehouse_root: str | None
    database: str
    lease_seconds: float
    cancel_seconds: float
    output_limit_bytes: int
    disk_reserve_bytes: int
    sql_row_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """The identity of a process: its id and its start time in clock ticks since boot."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord:
    """How the supervisor's command ended. Exactly one of ``code`` and ``signal`` is set.

    ``stopped`` tells that the supervisor had been asked to end it; ``oom`` that the kernel's
    out-of-memory killer, or the JVM's own handler, took part; ``at`` is Unix time.
    """

    code: int | None
    signal: int | None
    stopped: bool
    oom: bool
    at: float


Spec = TypeVar("Spec", SupervisorSpec, DriverSpec, ProcessId, ExitRecord)


def write(path: Path, spec: SupervisorSpec | DriverSpec | ProcessId | ExitRecord) -> None:
    """Put the spec into a file, all or nothing, readable by its owner only."""
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(spec), file, indent=1)
    partial.replace(path)


def read(path: Path, kind: type[Spec]) -> Spec | None:
    """Return the spec in a file, or None where there is no such file.

    Raises:
        ValueError: the file is not what the kind wants.
        OSError: it can't be read, or it is no regular file.
    """
    try:
        text = read_regular(path, _LARGEST)
    except FileNotFoundError:
        return None
    try:
        body = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
        make: Callable[..., Spec] = kind
        spec = make(**body)
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} does not hold a {kind.__name__}") from error
    wrong = [
        name
        for name, hint in typing.get_type_hints(kind).items()
        if not isinstance(getattr(spec, name), _kinds(hint))
    ]
    if wrong:
        raise ValueError(f"{path} does not hold a {kind.__name__}: see {', '.join(wrong)}")
    return spec


def _kinds(hint: Any) -> tuple[type, ...]:
    """Return the classes that a field's value may have, what is in them left aside."""
    if isinstance(hint, types.UnionType):
        return tuple(one for arm in typing.get_args(hint) for one in _kinds(arm))
    if hint is float:
        return (float, int)
    return (typing.get_origin(hint) or hint,)


def identify(pid: int) -> ProcessId | None:
    """Return the identity of a running process; None if it has ended, even if nobody reaped it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field, the program's name, may hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return ProcessId(pid=pid, started=int(fields[19]))


def is_running(process: ProcessId) -> bool:
    """Tell whether exactly this process still runs; a reused id is another process."""
    return identify(process.pid) == process
