"""``livius doctor``: what could be wrong, and what to do about it."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import httpx
import psutil
from cryptography import x509

from livius.cli.client import open_http
from livius.cli.console import out, settings
from livius.installation.home import Home
from livius.installation.java import find_java
from livius.installation.progress import SetupFailed
from livius.installation.runtime import load_runtime
from livius.settings import Settings

_GIB: Final = 1024**3
_DISK_WANTED: Final = 2 * _GIB
_SESSION_MEMORY: Final = 2 * _GIB
_CLOCK_FLOOR: Final = datetime(2026, 1, 1, tzinfo=UTC)
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY")
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``next_step`` says what to do unless all is well."""

    verdict: Verdict
    text: str
    next_step: str = ""


Check = Callable[[Settings, Home], Iterator[Finding]]
_COLOURS: Final = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


def doctor() -> int:
    """Print all findings; fail if one of them keeps Livius from working."""
    chosen = settings()
    home = Home(chosen.home)
    failed = False
    for check in _CHECKS:
        for finding in check(chosen, home):
            failed |= finding.verdict is Verdict.FAIL
            colour = _COLOURS[finding.verdict]
            out.print(f"[{colour}]{finding.verdict:>5}[/]  ", end="")
            out.print(finding.text, markup=False)
            if finding.next_step:
                out.print(f"       {finding.next_step}", markup=False)
    return 1 if failed else 0


def _java(chosen: Settings, _home: Home) -> Iterator[Finding]:
    try:
        java = find_java(chosen.java_home, chosen.runtimes_folder / "java")
    except SetupFailed as error:
        yield Finding(Verdict.FAIL, str(error))
        return
    if java is None:
        yield Finding(Verdict.FAIL, "There is no Java 17 or 21", "livius up brings one")
    else:
        whose = "brought by Livius" if java.brought else "of this machine"
        yield Finding(Verdict.OK, f"Java {java.version}, {whose}: {java.binary}")


def _runtime(chosen: Settings, _home: Home) -> Iterator[Finding]:
    found = load_runtime(chosen.runtimes_folder, chosen.default_runtime)
    if found is None:
        yield Finding(
            Verdict.FAIL, f"The runtime {chosen.default_runtime} is not set up", "run: livius up"
        )
    else:
        versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
        yield Finding(Verdict.OK, f"Runtime {found.name} ({versions}) in {found.folder}")


def _machine(_chosen: Settings, home: Home) -> Iterator[Finding]:
    folder = home.root if home.root.exists() else home.root.parent
    disk = shutil.disk_usage(folder).free
    verdict = Verdict.OK if disk > _DISK_WANTED else Verdict.WARN
    step = "" if verdict is Verdict.OK else "free some, or move LIVIUS_HOME to another disk"
    yield Finding(verdict, f"Disk: {disk / _GIB:.1f} GB free in {folder}", step)
    memory = psutil.virtual_memory().available
    verdict = Verdict.OK if memory > _SESSION_MEMORY else Verdict.WARN
    step = "" if verdict is Verdict.OK else "end other programs, or lower LIVIUS_DRIVER_MEMORY"
    yield Finding(verdict, f"Memory: {memory / _GIB:.1f} GB available", step)
    if datetime.now(UTC) < _CLOCK_FLOOR:
        yield Finding(
            Verdict.FAIL, "The clock is years behind", "set it: tokens and certificates need it"
        )


def _folder(_chosen: Settings, home: Home) -> Iterator[Finding]:
    if not home.root.exists():
        yield Finding(Verdict.WARN, f"There is no data folder {home.root} yet", "run: livius up")
        return
    mode = home.root.stat().st_mode & 0o077
    if mode:
        yield Finding(
            Verdict.FAIL,
            f"Others may look into {home.root}, which holds keys",
            f"run: chmod 700 {home.root}",
        )
    elif not os.access(home.root, os.W_OK):
        yield Finding(Verdict.FAIL, f"{home.root} can't be written", "run as its owner")
    else:
        yield Finding(Verdict.OK, f"Data folder {home.root}")


def _certificate(_chosen: Settings, home: Home) -> Iterator[Finding]:
    try:
        pem = (home.tls / "server.pem").read_bytes()
    except FileNotFoundError:
        return
    left = x509.load_pem_x509_certificate(pem).not_valid_after_utc - datetime.now(UTC)
    if left < timedelta():
        yield Finding(Verdict.FAIL, "The https certificate has expired", "restart: livius up")
    else:
        yield Finding(Verdict.OK, f"The https certificate is good for {left.days} days")


def _variables(_chosen: Settings, _home: Home) -> Iterator[Finding]:
    proxies = [name for name in _PROXIES if os.environ.get(name)]
    spared = os.environ.get("NO_PROXY", "") + os.environ.get("no_proxy", "")
    if proxies and "localhost" not in spared:
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
            "for calls to Livius set REQUESTS_CA_BUNDLE to its ca_file and unset CURL_CA_BUNDLE",
        )


def _gateway(chosen: Settings, home: Home) -> Iterator[Finding]:
    connection = home.read_connection()
    if connection is None:
        for name, port in (("LIVIUS_PORT", chosen.port), ("LIVIUS_HTTP_PORT", chosen.http_port)):
            if port and _is_taken(port):
                yield Finding(
                    Verdict.WARN, f"Port {port} is taken", f"another will be used; or set {name}"
                )
        yield Finding(Verdict.WARN, "No gateway is serving", "run: livius up")
        return
    try:
        with open_http(connection) as http:
            ready = http.get(f"{connection.api}/readyz").raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        yield Finding(Verdict.FAIL, f"The gateway does not answer: {error}", "see: livius logs")
        return
    yield Finding(
        Verdict.OK, f"The gateway serves {connection.api} with {ready['sessions']} sessions"
    )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


_CHECKS: Final[tuple[Check, ...]] = (
    _java,
    _runtime,
    _machine,
    _folder,
    _certificate,
    _variables,
    _gateway,
)
