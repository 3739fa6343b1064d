"""``livius down``: ends a running gateway, and leftovers of an earlier one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from livius.adapters.local.supervised import SupervisedProcess
from livius.cli.console import fail, out, settings
from livius.installation.home import Home

_ENDS_WITHIN: Final = 20.0
_LOOK_EVERY: Final = 0.1


def down() -> int:
    """Stop the gateway, and processes that an earlier one may have left."""
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
    left = [one for one in kept(home) if one.supervisor() is not None]
    for one in left:
        asyncio.run(one.end())
    if left:
        processes = "1 process" if len(left) == 1 else f"{len(left)} processes"
        out.print(f"Ended {processes} that an earlier gateway had left running.")
    elif not locked:
        out.print(f"No gateway serves {home.root}.")
    return 0


def _terminate(home: Home, pid: int) -> None:
    """Ask the process that has the lock to end.

    A pidfd holds the process with that id before the lock is read again. So the signal never
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


def count_ended(home: Home, pid: int) -> str:
    """Print what the gateway with this process id ended at its own end."""
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


def kept(home: Home) -> list[SupervisedProcess]:
    """Return every supervised process of the data folder."""
    folders = [*sorted(home.drivers.glob("*")), home.metastore]
    return [SupervisedProcess(folder, Path(), Path()) for folder in folders if folder.is_dir()]
