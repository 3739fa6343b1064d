"""The few Linux calls that tie processes together."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_libc: Final = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Inherit the orphans among our descendants, so that none can get away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Be killed when the parent ends, however it ends. For use between fork and exec."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def kill_family(pid: int) -> None:
    """Kill a process with all that descends from it, in sessions of their own too.

    The caller has not reaped it yet, so the id is still its own.
    """
    family = [pid]
    for parent in family:
        with suppress(OSError):
            os.kill(parent, signal.SIGSTOP)  # so that it has no more children while we look
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                family += map(int, task.read_text(encoding="ascii").split())
    for member in family:
        with suppress(OSError):
            os.kill(member, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
