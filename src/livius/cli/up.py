"""``livius up``: set up and start, up to an endpoint that answers."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

import psutil

from livius.cli.answers import Failed, ask
from livius.cli.console import ConsoleProgress, fail, out, settings
from livius.cli.opening import sign_in_link
from livius.cli.own_gateway import SERVES_WITHIN, OwnGateway
from livius.cli.pool import pool_line
from livius.cli.self_check import State
from livius.cli.self_check import read as read_self_check
from livius.cli.serving import changed_ports
from livius.data_folder import clone_root, default_data_folder
from livius.installation.home import Connection, Home, Ports
from livius.installation.java import find_java
from livius.installation.prepare import prepare
from livius.installation.progress import SetupFailed
from livius.installation.recipes import recipe
from livius.installation.runtime import load_runtime
from livius.settings import Settings

_LOOK_EVERY: Final = 0.05
_CHECK_LOOK_EVERY: Final = 0.5
_GIB: Final = 1024**3
_DISK_NEEDED: Final = 4 * _GIB
_MEMORY_NEEDED: Final = 3 * _GIB


def up(*, detach: bool) -> int:
    """Set up, start, check, tell; stay unless detached."""
    chosen = settings()
    home = Home(chosen.home)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = ConsoleProgress()
    gateway = OwnGateway(home)
    try:
        present = _running_already(home)
        if present is not None:
            out.print(f"A gateway is running already (process {present.pid}).")
            _tell_ports(chosen, home.kept_ports(), home)
            _tell(present, home)
            return 0
        home.create(passable=chosen.launch_numbers is not None)
        _warn_of_size(chosen)
        prepare(chosen, progress)
        progress.step("Starting the gateway")
        before = home.kept_ports()
        checked = read_self_check(home)
        first_run = checked is None or checked.state is not State.PASSED
        gateway.start(first_run=first_run)
        connection = gateway.wait_until_serving()
        progress.close()
    except KeyboardInterrupt:
        progress.close()
        out.print("\nInterrupted. Nothing is lost: the same command goes on from here.")
        gateway.stop()
        return 130
    except SetupFailed as error:
        progress.close()
        gateway.stop()
        return fail(str(error))
    _tell_ports(chosen, before, home)
    _tell(connection, home)
    if detach:
        if first_run:
            out.print("Meanwhile a first session checks it. livius doctor has its result.")
        return 0
    return _stay(gateway, connection, home if first_run else None)


def _tell_ports(chosen: Settings, before: Ports | None, home: Home) -> None:
    """Name the ports that differ from the requested ones."""
    for text in changed_ports(chosen, before, home.kept_ports() or Ports(https=0, http=0)):
        out.print(text, markup=False)


def _running_already(home: Home) -> Connection | None:
    """Return the connection of this folder's gateway; wait for one that is starting.

    Raises:
        SetupFailed: a gateway runs but doesn't write its connection.
    """
    deadline = time.monotonic() + SERVES_WITHIN
    while home.is_locked():
        present = home.read_connection()
        if present is not None:
            return present
        if time.monotonic() > deadline:
            raise SetupFailed(
                f"A gateway has {home.root} (process {home.holder()}) and does not say where it "
                "serves. Its log may say why: livius logs. End it with: livius down"
            )
        time.sleep(_LOOK_EVERY)
    return None


def _warn_of_size(chosen: Settings) -> None:
    """Before a download, print its size.

    Raises:
        SetupFailed: it can't fit.
    """
    folder = chosen.runtimes_folder
    if load_runtime(folder, chosen.default_runtime) is not None:
        return
    java = find_java(chosen.java_home, folder, recipe(chosen.default_runtime).java)
    download = 650 if java else 685
    out.print(
        f"Setting up Livius in {chosen.home}: about {download} MB to download (Spark, Delta, "
        f"Python packages{'' if java else ', Java'}), 4 GB of disk while building and 1 GB "
        "afterwards, 3 GB of memory to run.\nA few minutes; it may be interrupted at any moment "
        "and resumes where it stopped."
    )
    free = shutil.disk_usage(chosen.home).free
    if free < _DISK_NEEDED:
        raise SetupFailed(
            f"Only {free / _GIB:.1f} GB are free in {chosen.home}; 4 GB are needed. Free some, or "
            "set LIVIUS_HOME to a folder on another disk."
        )
    memory = psutil.virtual_memory().available
    if memory < _MEMORY_NEEDED:
        out.print(
            f"[yellow]Only {memory / _GIB:.1f} GB of memory are free:[/] a session may be refused."
        )


def _write_first_query(home: Home) -> None:
    text = (files("livius") / "sample" / "first_query.py").read_text(encoding="utf-8")
    home.first_query_file.write_text(text, encoding="utf-8")


def _tell(connection: Connection, home: Home) -> None:
    """Print the addresses, ids and next commands, ready to be pasted."""
    livius = _shown(Path(sys.executable).with_name("livius"))
    python = _shown(Path(sys.executable))
    sessions = (
        f"{connection.api}/v1/workspaces/{connection.workspace_id}/lakehouses/"
        f"{connection.lakehouse_id}/livyapi/versions/2023-12-01/sessions"
    )
    prefix = "" if home.root == default_data_folder() else f"LIVIUS_HOME={home.root} "
    # Only commands that work: the sample application can sign in at the embedded authority alone,
    # and not once it was removed.
    embedded, has_sample = settings().provider is None, connection.client_id is not None
    missing = ", ".join(settings().missing_for_portal)
    token = "token" if has_sample else "token create --expires 1h"
    bearer = f'"Authorization: Bearer $({prefix}{livius} {token})"'
    # A link that signs somebody in is for the person at the terminal, and for no log.
    is_person = embedded and connection.username is not None and out.is_terminal
    link = []
    with suppress(OSError):  # without the link there is still the password
        if is_person:
            link = [f"Open {sign_in_link(connection, home)}  (once, ten minutes)"]
    lines = [
        "",
        "Livius serves.",
        *link,
        f"  API              {connection.api}/v1",
        f"  Portal           {connection.http}",
        *([f"                   nobody can sign in there yet: set {missing}"] if missing else []),
        f"  Authority        {connection.authority}",
        f"  Tenant id        {connection.tenant_id}",
        *([f"  Client id        {connection.client_id}"] if has_sample else []),
        *([f"  Sign in as       {_first_user(connection, home)}"] if embedded else []),
        f"  Workspace id     {connection.workspace_id}",
        f"  Lakehouse id     {connection.lakehouse_id}",
        f"  All of it, for programs: {_shown(home.connection_file)}",
        "",
        "Next, each can be pasted:",
        f"  curl -sS --cacert {_shown(Path(connection.ca_file))} -H {bearer} {sessions}",
    ]
    if has_sample:
        _write_first_query(home)
        lines.append(f"  {python} {_shown(home.first_query_file)}")
    else:
        lines.append(f"  {prefix}{livius} workspace assign --help")
    out.print("\n".join([*lines, f"  {prefix}{livius} doctor", ""]), markup=False)


def _first_user(connection: Connection, home: Home) -> str:
    """Name the user who can sign in, and the password's file: logs must not have the password."""
    if connection.username is None:
        return "a user of your own (livius identity user list)"
    return f"{connection.username}, password in {_shown(home.first_user_file)}"


def _shown(path: Path) -> str:
    """Shorten a path of the clone when we are in it."""
    root = clone_root()
    if root is not None and Path.cwd() == root and path.is_relative_to(root):
        return str(path.relative_to(root))
    return str(path)


def _stay(gateway: OwnGateway, connection: Connection, checks: Home | None) -> int:
    """Wait for Ctrl-C or for the gateway's end; report the self-check of a data folder."""
    out.print("Ctrl-C stops everything.")
    try:
        if checks is not None:
            _report_check(gateway, checks)
        _report_pool(gateway, connection)
        code = gateway.wait()
    except KeyboardInterrupt:
        gateway.stop()
        return 0
    if not code:
        out.print("The gateway was stopped.")
        return 0
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return fail(
        f"The gateway ended by itself ({how}). Its last words:\n{gateway.last_words()}\n"
        "Its sessions go on; start it again and it finds them: livius up"
    )


def _report_check(gateway: OwnGateway, home: Home) -> None:
    """Wait until the self-check or the gateway ends, and print the result."""
    out.print("Meanwhile a first session checks it …")
    while gateway.wait(within=_CHECK_LOOK_EVERY) is None:
        found = read_self_check(home)
        if found is None or found.state is State.RUNNING:
            continue
        if found.state is State.PASSED:
            out.print(f"Self-check: all is well: {found.text}.", markup=False)
        else:
            fail(f"The self-check failed: {found.text}. See: livius doctor; livius logs")
        return


def _report_pool(gateway: OwnGateway, connection: Connection) -> None:
    """Wait until the starter pool has a driver, or has none to wait for, and print that."""
    while gateway.wait(within=_CHECK_LOOK_EVERY) is None:
        try:
            state = ask(connection, f"{connection.api}/readyz")["pool"]
        except Failed:
            continue  # it stops, or is busy
        if state["warm"]:
            out.print("A driver is warm: the next session starts at once.")
            return
        if state["condition"] not in ("filling", "waiting", "failing"):
            out.print(f"Starter pool: {pool_line(state)}.", markup=False)
            return
