"""One process tree that is intercepted: made before it starts, removed when its first process ends.

The command takes the place of ``livius exec``: same process, same terminal, same parent. So exit
code, signals, job control and the process id are the command's own. The proxy is a process beside
it that waits for its end.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from livius.cli.intercept import proxy
from livius.cli.intercept.person import Person
from livius.cli.intercept.variables import PROXIES, present, variables, write_bundles
from livius.domain.intercepted_hosts import ELSEWHERE, ENTRA, INTERCEPTED
from livius.installation.certificates import certificates_in
from livius.installation.home import Connection, Home

_USER: Final = "livius"
_LOCK: Final = "lock"
_NOT_FOUND: Final = 127
_NOT_RUNNABLE: Final = 126
_PROGRAMS: Final = {
    "az": "livius.cli.intercept.az",
    "livius-browser": "livius.cli.intercept.browser",
}


class CannotIntercept(Exception):
    """Programs can't be intercepted; the message has the reason and the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """``only``: other hosts are refused; ``person``: the user who is signed in by itself."""

    home: Home
    only: bool = False
    person: Person | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The files and variables of one tree; ``variables`` override a program's own."""

    wanted: Wanted
    folder: Path
    lock: int
    listener: socket.socket
    rules: proxy.Rules
    variables: Mapping[str, str]

    def discard(self) -> None:
        """Remove it again."""
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def plant(wanted: Wanted) -> Tree:
    """Make the files and variables of a tree. They live once `guard` was called for a process.

    Raises:
        CannotIntercept: the installation is not set up, or this environment can't be intercepted.
    """
    home = wanted.home
    authorities = _own_authorities(home)
    elsewhere = _authority_elsewhere(home)
    if elsewhere and wanted.person is not None:
        raise CannotIntercept(
            f"Users sign in at {elsewhere}, so nobody can here by themselves: no --as"
        )
    names = ELSEWHERE if elsewhere else INTERCEPTED
    upstreams = {} if wanted.only and not elsewhere else _upstreams(os.environ)
    folder, lock = _make_folder(home.intercept)
    programs = folder / "bin"
    try:
        bundle, node_bundle = folder / "ca-bundle.pem", folder / "node-ca-bundle.pem"
        write_bundles(os.environ, authorities, bundle=bundle, node_bundle=node_bundle)
        programs.mkdir()
        if not elsewhere:
            _write_programs(programs, home, folder)
        if wanted.person is not None:
            wanted.person.keep(folder)
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    password, identity_header = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    here = f"127.0.0.1:{listener.getsockname()[1]}"
    return Tree(
        wanted=wanted,
        folder=folder,
        lock=lock,
        listener=listener,
        rules=proxy.Rules(
            user=_USER,
            password=password,
            identity_header=identity_header,
            names=names,
            only=wanted.only,
            passed=frozenset({elsewhere, *ENTRA}) if elsewhere else frozenset(),
            gateway=lambda: _gateway_port(home),
            identity=lambda resource: _managed_identity(home, resource),
            http_upstream=upstreams.get("HTTP_PROXY"),
            https_upstream=upstreams.get("HTTPS_PROXY"),
        ),
        variables={
            **variables(
                os.environ,
                proxy=f"http://{_USER}:{password}@{here}",
                names=names,
                only=wanted.only,
                programs=programs,
                bundle=bundle,
                node_bundle=node_bundle,
            ),
            **({} if elsewhere else _sign_in_variables(wanted, programs, here, identity_header)),
        },
    )


def _own_authorities(home: Home) -> tuple[Path, Path]:
    """Return the certificates of the authorities that a tree's processes are to trust.

    Raises:
        CannotIntercept: the data folder has none yet, or can't be used.
    """
    certificates = certificates_in(home.tls)
    authorities = (certificates.ca_file, certificates.intercept_ca_file)
    if not all(path.exists() for path in authorities):
        raise CannotIntercept(f"Livius is not set up in {home.root}. Set it up with: livius up")
    if ":" in str(home.root):
        raise CannotIntercept(
            f"{home.root} can't stand in PATH: move LIVIUS_HOME to one without colons"
        )
    return authorities


def _sign_in_variables(
    wanted: Wanted, programs: Path, here: str, identity_header: str
) -> dict[str, str]:
    browser = {"BROWSER": str(programs / "livius-browser")}
    if wanted.person is not None:
        return browser  # the program's identity, also for the managed identity endpoint
    return {
        **browser,
        "IDENTITY_ENDPOINT": f"http://{here}{proxy.IDENTITY_PATH}",
        "IDENTITY_HEADER": identity_header,
    }


def _authority_elsewhere(home: Home) -> str | None:
    """Return the host of the sign-in, if that is not the gateway itself."""
    connection = home.read_connection()
    if connection is None or connection.serves_authority:
        return None
    return urlsplit(connection.authority).hostname


def where_intercepted(connection: Connection) -> str:
    """Name the intercepted hosts, and the place of the sign-in if it is elsewhere."""
    if connection.serves_authority:
        return f"the host names of Fabric, OneLake, Key Vault and Entra lead to {connection.api}"
    return (
        f"the host names of Fabric and OneLake lead to {connection.api}. Entra's don't: programs "
        f"sign in at {connection.authority}"
    )


def become(tree: Tree, command: list[str]) -> NoReturn:
    """Turn this process into the command, intercepted."""
    guard(tree, os.getpid())
    # Python ignores these two, and the next program would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, {**os.environ, **tree.variables})  # noqa: S606 - it is the point
    except FileNotFoundError:
        print(f"livius: there is no program {command[0]}", file=sys.stderr)
        sys.exit(_NOT_FOUND)
    except OSError as error:
        print(f"livius: {command[0]} can't be run: {error.strerror}", file=sys.stderr)
        sys.exit(_NOT_RUNNABLE)


def guard(tree: Tree, pid: int) -> None:
    """Start the tree's proxy; it ends, and the folder with it, when the process does.

    Connections wait at the listener from now on, so a program may begin at once.

    Raises:
        CannotIntercept: there is no such process.
    """
    try:
        watched = os.pidfd_open(pid)
    except OSError as error:
        tree.discard()
        raise CannotIntercept(f"Process {pid} can't be watched: {error.strerror}") from None
    child = os.fork()
    if child == 0:
        # Twice, so that the command gets no child that it did not start.
        os.setsid()
        if os.fork() == 0:
            _run_proxy(tree, watched)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(watched)
    os.close(tree.lock)
    tree.listener.close()


def _run_proxy(tree: Tree, watched: int) -> NoReturn:
    try:
        _let_go({tree.listener.fileno(), watched, tree.lock})
        asyncio.run(_serve(tree, watched))
    finally:
        shutil.rmtree(tree.folder, ignore_errors=True)
        os._exit(0)


def _let_go(kept: set[int]) -> None:
    """Release the command's terminal, pipes, locks and working directory."""
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    for number in [int(one.name) for one in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number not in kept:  # noqa: PLR2004 - the standard ones
            with suppress(OSError):
                os.close(number)


async def _serve(tree: Tree, watched: int) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(watched, end)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    await proxy.serve(tree.listener, tree.rules, ended)


def _gateway_port(home: Home) -> int:
    """Return the gateway's present port: it may have been started or restarted meanwhile."""
    connection = home.read_connection()
    ports = home.kept_ports()
    if connection is None or ports is None:
        raise proxy.Refused(
            502, f"No gateway serves {home.root}. Start one with: livius up --detach"
        )
    return ports.https


def _managed_identity(home: Home, resource: str) -> Mapping[str, str]:
    from livius.cli.intercept.tokens import NoToken, default_scope, get_token

    try:
        token = get_token(home, default_scope(resource))
    except NoToken as error:
        raise proxy.Refused(400, str(error)) from None
    return {
        "access_token": token.text,
        "expires_on": str(token.expires_on),
        "resource": resource,
        "token_type": "Bearer",
        "client_id": token.client_id,
    }


def _upstreams(environment: Mapping[str, str]) -> dict[str, proxy.Upstream]:
    found = {}
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        url = present(environment, name) or present(environment, PROXIES[-1])
        if url is not None:
            try:
                found[name] = proxy.read_upstream(url)
            except ValueError as error:
                raise CannotIntercept(
                    f"{name} names a proxy that other hosts can't be passed to: {error}. Name an "
                    "http:// one, or unset it for this command"
                ) from None
    return found


def _write_programs(folder: Path, home: Home, tree: Path) -> None:
    browser = os.environ.get("BROWSER")
    # The person's own browser, for the helper that replaces it.
    own = [f"BROWSER={browser}"] if browser else ["-u", "BROWSER"]
    for name, module in _PROGRAMS.items():
        # -I: the program's own PYTHONPATH is none of ours.
        where = (f"LIVIUS_HOME={home.root}", f"LIVIUS_TREE={tree}")
        words = [*own, *where, sys.executable, "-I", "-m", module]
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec env {shlex.join(words)} "$@"\n', encoding="utf-8")
        path.chmod(0o700)


def _make_folder(parent: Path) -> tuple[Path, int]:
    """Make a folder with a lock, and remove folders whose locks are free."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (parent / _LOCK).open("a") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        for old in parent.glob("*/"):
            _remove_if_free(old)
        folder = parent / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


def _remove_if_free(folder: Path) -> None:
    with suppress(OSError), (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
