"""The needs of the launch ``per-user``: root, free numbers, reachable programs."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from livius.installation.progress import SetupFailed

_WITHIN: Final = 30
_LOOK: Final = """import os, sys
print(*(path for path in sys.argv[1:] if not os.access(path, os.R_OK)), sep=chr(10))"""


def check_launch(numbers: range, python: Path, needed: Sequence[Path]) -> None:
    """Refuse a machine, or a start, where drivers could not run under users of their own.

    ``python`` is the runtime's; ``needed`` are further paths that every driver reads.

    Raises:
        SetupFailed: the message has the next step.
    """
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise SetupFailed(
            "LIVIUS_LAUNCH=per-user runs each principal's drivers under a user of their own, for "
            f"which the gateway must run as root on Linux; it runs as uid {os.geteuid()}. Start it "
            "as root, or unset LIVIUS_LAUNCH: then all drivers run as the gateway's user."
        )
    taken = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid in numbers]
    taken += [entry.gr_name for entry in grp.getgrall() if entry.gr_gid in numbers]
    if taken:
        raise SetupFailed(
            f"The numbers of LIVIUS_LAUNCH_UIDS belong to users or groups of this machine: "
            f"{', '.join(sorted(set(taken))[:5])}. Name a range that is free."
        )
    hidden = _hidden(numbers[0], python, needed)
    if hidden:
        closed = sorted({str(folder) for path in hidden if (folder := _closed_above(path))})
        raise SetupFailed(
            "Drivers run as users that can't reach "
            f"{', '.join(map(str, hidden))}. "
            + (f"Closed to them: {', '.join(closed)}. " if closed else "")
            + "Move LIVIUS_HOME, LIVIUS_RUNTIMES and Python to folders that others may pass "
            "through, such as /var/lib/livius, or open these with: chmod o+x FOLDER"
        )


def _hidden(number: int, python: Path, needed: Sequence[Path]) -> Sequence[Path]:
    """Return the paths that a driver's user can't read, by trying."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", _LOOK, *needed],
            user=number,
            group=number,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=True,
        )
    except PermissionError as error:
        if error.filename is None:
            raise SetupFailed(
                "LIVIUS_LAUNCH=per-user needs root's rights to become other users and to give "
                f"files away (CAP_SETUID, CAP_SETGID, CAP_CHOWN, CAP_KILL), which it lacks: {error}"
            ) from error
        return [python]
    except (OSError, subprocess.SubprocessError):
        return [python]
    return [Path(line) for line in done.stdout.splitlines() if line]


def _closed_above(path: Path) -> Path | None:
    """Return the outermost folder on the way that others may not pass through."""
    for real in (path.absolute(), path.resolve()):
        for folder in reversed(real.parents):
            if not folder.stat().st_mode & 0o001:
                return folder
    return None
