"""The few Linux calls that tie processes together."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_LISTENS: Final = "0A"
_SHARED_WITH_GROUP: Final = 0o007
_libc: Final = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Inherit the orphans among our descendants, so that none can get away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Be killed when the parent ends, however it ends. For use between fork and exec."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def become(user: int, groups: Sequence[int]) -> None:
    """Become another user, irrevocably: no program that is started from now on gains more rights.

    What it writes, its group may write too; a lakehouse's folders see to it that this is the
    workspace's. For root, between fork and exec, and before `die_with_parent`: the kernel forgets
    that at such a change.
    """
    os.setgroups((user, *groups))
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    os.umask(_SHARED_WITH_GROUP)


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


def listeners(port: int) -> set[int]:
    """Return the uids of the listeners at a port of this machine."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError):  # no such protocol here
            for row in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                _, local, _, state, _, _, _, uid = row.split()[:8]
                if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                    found.add(int(uid))
    return found


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
