"""Commands about a gateway that runs, or did: status, logs, token, down."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import psutil

from livius.adapters.supervised import SupervisedProcess
from livius.cli.client import ApiFailed, fetch_token, open_http
from livius.cli.console import fail, out, settings
from livius.installation.home import Home

_ENDS_WITHIN: Final = 20.0
_LOOK_EVERY: Final = 0.1
_MIB: Final = 1024 * 1024


def status() -> int:
    """Say whether a gateway serves."""
    home = Home(settings().home)
    connection = home.read_connection()
    if connection is None and home.is_locked():
        out.print(
            f"A gateway has {home.root} ({_named(home.holder())}) and does not say where it "
            "serves: it is starting, or its connection.json was deleted. Look again in a moment; "
            "livius down ends it, livius up then starts another."
        )
        return 4
    if connection is None:
        kept = sum(one.supervisor() is not None for one in _kept(home))
        out.print(f"No gateway serves {home.root}. Start one with: livius up")
        if kept:
            out.print(f"{kept} processes of an earlier one go on; a new one adopts them.")
        return 3
    with suppress(psutil.Error):
        began = datetime.fromtimestamp(psutil.Process(connection.pid).create_time(), UTC)
        out.print(f"Serving since {began:%Y-%m-%d %H:%M:%S} UTC, process {connection.pid}")
    out.print(f"  API         {connection.api}/v1\n  For people  {connection.http}")
    try:
        with open_http(connection) as http:
            ready = http.get(f"{connection.api}/readyz").json()
        out.print(f"  Sessions    {ready['sessions']}")
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return fail(f"It does not answer: {error}. See: livius logs")
    used = shutil.disk_usage(home.root)
    out.print(f"  Disk        {used.free // _MIB} MB free in {home.root}")
    return 0


def logs(*, follow: bool, lines: int) -> int:
    """Show the gateway's log."""
    path = Home(settings().home).log_file
    if not path.exists():
        return fail(f"There is no log yet in {path}.")
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file.readlines()[-lines:]:
            out.print(line.rstrip(), markup=False)
        with suppress(KeyboardInterrupt):
            while follow:
                line = file.readline()
                if line:
                    out.print(line.rstrip(), markup=False)
                else:
                    time.sleep(_LOOK_EVERY)
    return 0


def token() -> int:
    """Print an access token, and nothing else."""
    home = Home(settings().home)
    connection = home.read_connection()
    if connection is None:
        return fail(f"No gateway serves {home.root}. Start one with: livius up")
    try:
        with open_http(connection) as http:
            print(fetch_token(connection, http))
    except (httpx.HTTPError, ApiFailed) as error:
        return fail(str(error))
    return 0


def down() -> int:
    """Stop the gateway, and what an earlier one may have left."""
    home = Home(settings().home)
    locked, pid = home.is_locked(), home.holder()
    if locked:
        if pid is None:
            return fail(
                f"A gateway has {home.root} and does not say which process it is: it is just "
                "starting, or older than this command and not this user's. Try again, or find it "
                f"with: fuser {home.root}/gateway.lock"
            )
        _terminate(home, pid)
        deadline = time.monotonic() + _ENDS_WITHIN
        while home.is_locked():
            if time.monotonic() > deadline:
                return fail(f"Process {pid} does not end. See: livius logs")
            time.sleep(_LOOK_EVERY)
        out.print(count_ended(home, pid))
    left = [one for one in _kept(home) if one.supervisor() is not None]
    for one in left:
        asyncio.run(one.end())
    if left:
        out.print(f"Ended {len(left)} processes that an earlier gateway had left running.")
    elif not locked:
        out.print(f"No gateway serves {home.root}.")
    return 0


def _terminate(home: Home, pid: int) -> None:
    """Ask the process that has the lock to end.

    Whoever has the process id is held before the lock is looked at again. So the signal never
    reaches a process that got the id after the gateway had ended, unless yet another gateway takes
    the lock in this instant and has still to write its own id.
    """
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if home.holder() == pid:
                signal.pidfd_send_signal(process, signal.SIGTERM)
        finally:
            os.close(process)


def _named(pid: int | None) -> str:
    return "process unknown" if pid is None else f"process {pid}"


def count_ended(home: Home, pid: int) -> str:
    """Say what the gateway with this process id ended at its own end."""
    try:
        ended = json.loads(home.last_shutdown_file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        ended = {}
    if ended.get("pid") != pid:
        return "Stopped: the gateway."
    sessions = ended["drivers"]
    parts = [f"{sessions} session{'' if sessions == 1 else 's'}"]
    if ended["metastore"]:
        parts.append("the metastore")
    return f"Stopped: the gateway, {' and '.join(parts)}."


def _kept(home: Home) -> list[SupervisedProcess]:
    """Return every process with a supervisor that the data folder knows of."""
    folders = [*sorted(home.drivers.glob("*")), home.metastore]
    return [SupervisedProcess(folder, Path(), Path()) for folder in folders if folder.is_dir()]
