"""The checks of `livius doctor`.

Each check yields findings; each bad one has a next step. The machine's figures are read once, into
`Machine`, which the checks use.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import psutil
from cryptography import x509

from livius.adapters.local.metastore import ready_file
from livius.adapters.local.supervised import SupervisedProcess
from livius.cli.answers import Failed, ask
from livius.cli.pool import pool_line
from livius.cli.self_check import State
from livius.cli.self_check import read as read_self_check
from livius.installation.home import Home
from livius.installation.java import find_java
from livius.installation.launching import check_launch
from livius.installation.progress import SetupFailed
from livius.installation.runtime import is_driver_jar_current, load_runtime, read_manifest
from livius.settings import Settings

_MIB: Final = 1024**2
_GIB: Final = 1024**3
_DISK_WANTED: Final = 2 * _GIB
_TEMPORARY_WANTED: Final = 256 * _MIB
_FILES_WANTED: Final = 1024
_PROCESSES_WANTED: Final = 512
_CLOCK_FLOOR: Final = datetime(2026, 1, 1, tzinfo=UTC)
_CLOCK_SKEW: Final = timedelta(seconds=60)
_CERTIFICATE_WARNING: Final = timedelta(days=7)
_ANSWER_WITHIN: Final = 1.5
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY")
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Verdict(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``next_step`` is the way to solve a problem."""

    verdict: Verdict
    text: str
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine's figures, in bytes where they are sizes; None: no limit.

    ``memory_limit`` is the container's. ``file_time`` is the time of a file that was just written,
    ``booted`` the machine's start.
    """

    disk: int
    temporary: int
    memory: int
    memory_limit: int | None
    open_files: int | None
    processes: int | None
    now: datetime
    file_time: datetime
    booted: datetime


def read_machine(home: Home) -> Machine:
    """Read the machine's figures."""
    with tempfile.NamedTemporaryFile() as file:
        written = os.fstat(file.fileno()).st_mtime
    return Machine(
        disk=shutil.disk_usage(_nearest(home.root)).free,
        temporary=shutil.disk_usage(tempfile.gettempdir()).free,
        memory=psutil.virtual_memory().available,
        memory_limit=_memory_limit(Path("/sys/fs/cgroup")),
        open_files=_limit(resource.RLIMIT_NOFILE),
        processes=_limit(resource.RLIMIT_NPROC),
        now=datetime.now(UTC),
        file_time=datetime.fromtimestamp(written, UTC),
        booted=datetime.fromtimestamp(psutil.boot_time(), UTC),
    )


def _nearest(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def _limit(which: int) -> int | None:
    _soft, hard = resource.getrlimit(which)
    return None if hard == resource.RLIM_INFINITY else hard


def _memory_limit(cgroup: Path) -> int | None:
    """Return the container's limit, by either version of cgroups."""
    for file in (cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            limit = int(file.read_text(encoding="ascii"))
            # The older version says "none" by a number larger than any memory.
            return limit if limit < psutil.virtual_memory().total else None
    return None


Check = Callable[[Settings, Home, Machine], Iterator[Finding]]


def java(chosen: Settings, _home: Home, _machine: Machine) -> Iterator[Finding]:
    """Whether there is a working Java of a version for Spark."""
    try:
        found = find_java(chosen.java_home, chosen.runtimes_folder)
    except SetupFailed as error:
        yield Finding(Verdict.FAIL, str(error), "correct LIVIUS_JAVA_HOME, or unset it")
        return
    if found is None:
        yield Finding(
            Verdict.FAIL,
            "There is no Java 17 or 21 that runs",
            "run: livius up, which brings one; or name yours in LIVIUS_JAVA_HOME",
        )
    else:
        whose = "brought by Livius" if found.brought else "of this machine"
        yield Finding(Verdict.OK, f"Java {found.version}, {whose}: {found.binary}")


def runtime(chosen: Settings, _home: Home, _machine: Machine) -> Iterator[Finding]:
    """Whether the runtime is whole, and made for this version of Livius."""
    name = chosen.default_runtime
    root = chosen.runtimes_folder / name
    found = load_runtime(chosen.runtimes_folder, name)
    if found is None:
        other = read_manifest(root) is not None
        text = "was made for another version of Livius" if other else "is not set up"
        yield Finding(Verdict.FAIL, f"The runtime {name} {text}", "run: livius up")
        return
    if not os.access(found.python, os.X_OK) or not (found.spark_home / "jars").is_dir():
        yield Finding(
            Verdict.FAIL,
            f"The runtime {name} has lost its Python or its Spark",
            f"delete {root} and run: livius up",
        )
        return
    damaged = _damaged(root)
    if damaged:
        yield Finding(
            Verdict.FAIL,
            f"Jars of the runtime {name} are missing or changed: {', '.join(damaged)}",
            f"delete {root} and run: livius up",
        )
    elif not is_driver_jar_current(root):
        yield Finding(
            Verdict.WARN,
            "The driver jar was made of other sources than those of this version",
            "run: livius runtime",
        )
    else:
        versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
        yield Finding(Verdict.OK, f"Runtime {found.name} ({versions}) in {found.folder}")


def _damaged(root: Path) -> list[str]:
    manifest = read_manifest(root) or {}
    damaged = []
    for name, digest in manifest.get("jars", {}).items():
        file = root / "jars" / name
        if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            damaged.append(name)
    return damaged


def space(chosen: Settings, home: Home, machine: Machine) -> Iterator[Finding]:
    """Disk and memory, the container's limit included."""
    yield _room(
        f"Disk: {{}} free in {_nearest(home.root)}",
        machine.disk,
        _DISK_WANTED,
        "free some, or move LIVIUS_HOME to another disk",
    )
    yield _room(
        f"Temporary files: {{}} free in {tempfile.gettempdir()}",
        machine.temporary,
        _TEMPORARY_WANTED,
        "free some, or set TMPDIR to a folder on another disk",
    )
    wanted = chosen.driver_memory_bytes + chosen.memory_reserve
    step = "end other programs, or lower LIVIUS_DRIVER_MEMORY"
    yield _room("Memory: {} available", machine.memory, wanted, step)
    if machine.memory_limit is not None:
        step = "raise the container's limit, or lower LIVIUS_DRIVER_MEMORY"
        # Gateway and metastore are in the container too.
        yield _room("The container may use {}", machine.memory_limit, wanted + _GIB, step)


def _room(text: str, there: int, wanted: int, step: str) -> Finding:
    text = text.format(f"{there / _GIB:.1f} GB")
    if there >= wanted:
        return Finding(Verdict.OK, text)
    return Finding(Verdict.WARN, f"{text}; {wanted / _GIB:.1f} GB are wanted", step)


def limits(_chosen: Settings, _home: Home, machine: Machine) -> Iterator[Finding]:
    """How many files and processes this user may have."""
    for what, there, wanted, flag in (
        ("open files", machine.open_files, _FILES_WANTED, "-n"),
        ("processes", machine.processes, _PROCESSES_WANTED, "-u"),
    ):
        if there is not None and there < wanted:
            yield Finding(
                Verdict.WARN,
                f"At most {there} {what} are allowed; Spark wants {wanted}",
                f"raise the hard limit that `ulimit -H {flag}` shows",
            )


def clock(_chosen: Settings, home: Home, machine: Machine) -> Iterator[Finding]:
    """Whether the clock is right: tokens and certificates need it."""
    now = machine.now
    step = "set the clock, for instance with: timedatectl set-ntp true"
    if now < _CLOCK_FLOOR:
        yield Finding(Verdict.FAIL, f"The clock is years behind: it says {now:%Y-%m-%d}", step)
    if machine.booted > now + _CLOCK_SKEW:
        yield Finding(Verdict.FAIL, "The clock was set to a time before the machine's start", step)
    if abs(machine.file_time - now) > _CLOCK_SKEW:
        yield Finding(
            Verdict.WARN,
            "The clock of the temporary folder's file system differs from the machine's",
            "set the clock of the file server, or set TMPDIR to a local folder",
        )
    with suppress(FileNotFoundError):
        written = datetime.fromtimestamp(home.database.stat().st_mtime, UTC)
        if written > now + _CLOCK_SKEW:
            yield Finding(
                Verdict.FAIL, f"The records are from the future: {written:%Y-%m-%d %H:%M} UTC", step
            )
    with suppress(FileNotFoundError):
        pem = (home.tls / "server.pem").read_bytes()
        yield from _certificate(x509.load_pem_x509_certificate(pem), now)


def _certificate(certificate: x509.Certificate, now: datetime) -> Iterator[Finding]:
    left = certificate.not_valid_after_utc - now
    if certificate.not_valid_before_utc > now:
        yield Finding(
            Verdict.FAIL,
            "The https certificate is not valid yet: the clock is behind, or was ahead",
            "set the clock; then delete the data folder's tls/server.pem and run: livius up",
        )
    elif left < timedelta():
        yield Finding(Verdict.FAIL, "The https certificate has expired", "restart: livius up")
    elif left < _CERTIFICATE_WARNING:
        yield Finding(
            Verdict.WARN, f"The https certificate ends in {_days(left)}", "restart: livius up"
        )
    else:
        yield Finding(Verdict.OK, f"The https certificate is valid for {_days(left)}")


def _days(time: timedelta) -> str:
    return "1 day" if time.days == 1 else f"{time.days} days"


def launch(chosen: Settings, _home: Home, _machine: Machine) -> Iterator[Finding]:
    """The OS users of drivers, and whether this machine allows them."""
    numbers = chosen.launch_numbers
    if numbers is None:
        yield Finding(Verdict.OK, f"Launch single-user: all drivers run as uid {os.geteuid()}")
        return
    found = load_runtime(chosen.runtimes_folder, chosen.default_runtime)
    if found is None:
        return  # another check reports it
    try:
        check_launch(numbers, found.python, found.jars)
    except SetupFailed as error:
        yield Finding(
            Verdict.FAIL, f"Launch per-user can't work. {error}", "do so; then: livius up"
        )
    else:
        text = f"Launch per-user: drivers run as uids {numbers[0]} to {numbers[-1]}"
        yield Finding(Verdict.OK, text)


def folder(chosen: Settings, home: Home, _machine: Machine) -> Iterator[Finding]:
    """Whether the data folder exists, is ours, and is closed to others."""
    root = home.root
    if not root.exists():
        yield Finding(Verdict.WARN, f"There is no data folder {root} yet", "run: livius up")
        return
    if root.stat().st_uid != os.getuid() or not os.access(root, os.W_OK):
        yield Finding(Verdict.FAIL, f"{root} can't be written", "run as its owner")
        return
    allowed = 0o700 if chosen.launch_numbers is None else 0o711
    if root.stat().st_mode & 0o777 & ~allowed:
        yield Finding(
            Verdict.FAIL,
            f"Others may look into {root}, which holds keys",
            f"run: chmod {allowed:o} {root}",
        )
        return
    opened = [file for file in _private(home) if file.stat().st_mode & 0o077]
    for file in opened:
        yield Finding(Verdict.FAIL, f"Others may read {file}", f"run: chmod 600 {file}")
    if not opened:
        yield Finding(Verdict.OK, f"Data folder {root}")


def _private(home: Home) -> list[Path]:
    """Return the files with keys or secrets."""
    keys = [*home.keys.glob("*"), *home.tls.glob("*.key"), *home.sample.glob("*")]
    others = (home.connection_file, home.database)
    return sorted(file for file in (*keys, *others) if file.is_file())


def variables(_chosen: Settings, home: Home, _machine: Machine) -> Iterator[Finding]:
    """Variables that mislead clients."""
    proxies = [name for name in _PROXIES if os.environ.get(name)]
    spared = os.environ.get("NO_PROXY", "") + os.environ.get("no_proxy", "")
    if proxies and "localhost" not in spared and "*" not in spared:
        yield Finding(
            Verdict.WARN,
            f"{', '.join(proxies)} would catch calls to localhost",
            "set NO_PROXY=localhost,127.0.0.1",
        )
    bundles = [name for name in _BUNDLES if os.environ.get(name)]
    if bundles:
        yield Finding(
            Verdict.WARN,
            f"{' and '.join(bundles)}: Python clients trust that bundle and nothing else",
            f"for calls to Livius: export REQUESTS_CA_BUNDLE={home.tls / 'ca.pem'}; unset "
            "CURL_CA_BUNDLE",
        )


def authority(chosen: Settings, _home: Home, _machine: Machine) -> Iterator[Finding]:
    """Features that lack settings of the external authority."""
    if chosen.provider is None:
        return
    if chosen.missing_for_portal:
        yield Finding(
            Verdict.WARN,
            "Nobody can sign in at the portal",
            f"set {', '.join(chosen.missing_for_portal)}",
        )
    if not chosen.proofs:
        yield Finding(
            Verdict.WARN,
            f"Session code gets no tokens: there is no credential at {chosen.provider.issuer}",
            "set LIVIUS_AUTHORITY_CLIENT_ID and LIVIUS_AUTHORITY_CLIENT_SECRET_FILE or "
            "LIVIUS_AUTHORITY_CLIENT_CERTIFICATE_FILE",
        )
    for file in (chosen.authority_client_secret_file, chosen.authority_client_certificate_file):
        if file is None:
            continue
        try:
            opened = file.stat().st_mode & 0o007
        except OSError as error:
            step = "correct the setting that names it"
            yield Finding(Verdict.FAIL, f"{file} can't be read: {error.strerror}", step)
            continue
        if opened:
            yield Finding(Verdict.WARN, f"Everybody may read {file}", f"run: chmod o= {file}")
    if chosen.authority_client_secret is not None:
        yield Finding(
            Verdict.WARN,
            "LIVIUS_AUTHORITY_CLIENT_SECRET can be read in the gateway's environment for as long "
            "as it runs",
            "name a file in LIVIUS_AUTHORITY_CLIENT_SECRET_FILE instead",
        )


def gateway(chosen: Settings, home: Home, _machine: Machine) -> Iterator[Finding]:
    """Whether the gateway answers; if none serves, whether one could."""
    connection = home.read_connection()
    if connection is None:
        yield from _ports(chosen, home)
        yield from _leftovers(home)
        yield Finding(Verdict.WARN, "No gateway is serving", "run: livius up")
        return
    try:
        ready = ask(connection, f"{connection.api}/readyz", within=_ANSWER_WITHIN)
        sessions = int(ready["sessions"])
    except (Failed, ValueError, TypeError, KeyError) as error:
        yield Finding(
            Verdict.FAIL,
            f"The gateway, process {connection.pid}, does not answer: {error}",
            "see: livius logs; then restart it: livius down, livius up",
        )
        return
    count = "1 session" if sessions == 1 else f"{sessions} sessions"
    yield Finding(Verdict.OK, f"The gateway serves {connection.api} with {count}")
    yield _pool("Starter pool", "LIVIUS_POOL_SIZE", ready["pool"])
    if ready["environmentPool"]["size"]:
        size = "LIVIUS_ENVIRONMENT_POOL_SIZE"
        yield _pool("Warm drivers of environments", size, ready["environmentPool"])
    yield from _metastore(home)


def _pool(name: str, size: str, state: Mapping[str, Any]) -> Finding:
    text = f"{name}: {pool_line(state)}"
    match state["condition"]:
        case "failing" | "given_up":
            step = "see why: livius logs; then restart the gateway: livius down, livius up"
            return Finding(Verdict.WARN, text, step)
        case "no_memory":
            step = f"make room, or lower LIVIUS_DRIVER_MEMORY or {size}"
            return Finding(Verdict.WARN, text, step)
        case _:
            return Finding(Verdict.OK, text)


def _ports(chosen: Settings, home: Home) -> Iterator[Finding]:
    kept = home.kept_ports()
    for name, port in (
        ("LIVIUS_PORT", kept.https if kept else chosen.port),
        ("LIVIUS_HTTP_PORT", kept.http if kept else chosen.http_port),
    ):
        if port and _answers(port):
            yield Finding(
                Verdict.WARN,
                f"Port {port} is taken by another program",
                f"end that program, set {name}, or do nothing: another port will be used and kept",
            )


def _leftovers(home: Home) -> Iterator[Finding]:
    folders = [*home.drivers.glob("*"), home.metastore]
    alive = [
        one
        for one in folders
        if one.is_dir() and SupervisedProcess(one, Path(), Path()).supervisor() is not None
    ]
    if alive:
        yield Finding(
            Verdict.WARN,
            f"Processes of an earlier gateway that go on without one: {len(alive)}",
            "livius up takes them over; livius down ends them",
        )


def _metastore(home: Home) -> Iterator[Finding]:
    try:
        port = int(json.loads(ready_file(home.metastore).read_text(encoding="utf-8"))["port"])
    except (OSError, ValueError, KeyError):
        port = None
    if port is None or not _answers(port):
        yield Finding(
            Verdict.FAIL,
            "The metastore does not answer: sessions can't start and tables can't be found",
            "wait half a minute, as it is restarted by itself; else see: livius logs",
        )
    else:
        yield Finding(Verdict.OK, "The metastore answers")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_WITHIN).close()
    except OSError:
        return False
    return True


def self_check(_chosen: Settings, home: Home, _machine: Machine) -> Iterator[Finding]:
    """The result of the self-check of `livius up`."""
    found = read_self_check(home)
    if found is None:
        return
    if found.state is State.PASSED:
        yield Finding(Verdict.OK, f"The self-check of {found.day} passed: {found.text}")
    elif found.state is State.FAILED:
        yield Finding(
            Verdict.FAIL,
            f"The self-check of {found.day} failed: {found.text}",
            "see: livius logs; to repeat it: livius down, then livius up",
        )
    elif home.holder() == found.pid:
        yield Finding(Verdict.OK, f"The self-check is under way: {found.text}")


CHECKS: Final[tuple[Check, ...]] = (
    java,
    runtime,
    space,
    limits,
    launch,
    folder,
    clock,
    variables,
    authority,
    gateway,
    self_check,
)
