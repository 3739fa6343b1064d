"""The few Linux calls that tie processes together."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_LISTENS: Final = "0A"
_SHARED_WITH_GROUP: Final = 0o007
_LOW: Final = 2
_CAP_SYS_NICE: Final = 23
_PASSES: Final = 5
_AUTOGROUP_PAUSE: Final = 0.1
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


def lower_priority() -> None:
    """Leave the processor to others, if `restore_priority` can end that again.

    For use between fork and exec. Without the right to raise priorities, that of the session of
    processes is lowered, which counts where the kernel groups them (autogroup) and nowhere else.
    """
    if _may_raise():
        os.setpriority(os.PRIO_PROCESS, 0, _LOW)
    else:
        _set_autogroup(os.getpid(), _LOW)


def restore_priority(pid: int) -> None:
    """Give a process and its descendants the usual priority again.

    Raises:
        OSError: some of them keep the low one.
    """
    if not _may_raise():
        _set_autogroup(pid, 0)
        return
    for _ in range(_PASSES):  # what was begun meanwhile has the low one too
        low = [thread for thread in _threads_of(pid) if _priority(thread) == _LOW]
        if not low:
            return
        for thread in low:
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, thread, 0)


def _threads_of(pid: int) -> list[int]:
    threads: list[int] = []
    for member in family_of(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            threads += [int(thread.name) for thread in Path(f"/proc/{member}/task").iterdir()]
    return threads


def _priority(thread: int) -> int | None:
    try:
        return os.getpriority(os.PRIO_PROCESS, thread)
    except ProcessLookupError:
        return None


def _may_raise() -> bool:
    """Tell whether this process may raise priorities: root in a container often may not."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> _CAP_SYS_NICE & 1)


def _set_autogroup(pid: int, nice: int) -> None:
    for _ in range(_PASSES):
        try:
            Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")
        except BlockingIOError:  # the kernel takes ten changes a second
            time.sleep(_AUTOGROUP_PAUSE)
        except OSError:
            return  # the kernel has no such groups
        else:
            return


def family_of(pid: int, visit: Callable[[int], None] = lambda _: None) -> list[int]:
    """Return a process's id and those of its descendants.

    ``visit`` is called with each before its children are looked for.
    """
    family = [pid]
    for parent in family:
        visit(parent)
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                family += map(int, task.read_text(encoding="ascii").split())
    return family


def kill_family(pid: int) -> None:
    """Kill a process with all that descends from it, in sessions of their own too.

    The caller has not reaped it yet, so the id is still its own.
    """

    def stop(member: int) -> None:
        with suppress(OSError):
            os.kill(member, signal.SIGSTOP)  # so that it has no more children while we look

    for member in family_of(pid, stop):
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
