"""Telling the kernel's out-of-memory killer from any other SIGKILL, where the machine can know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_MACHINE: Final = Path("/proc/vmstat")


def _count(path: Path) -> int:
    """Return the ``oom_kill`` line of a file of counters; 0 where there is none."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _own_cgroup() -> Path:
    """Return the file of events of this process' control group, whether or not there is one."""
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        groups = []
    own = next((line.removeprefix("0::/") for line in groups if line.startswith("0::/")), "")
    return _CGROUP / own / "memory.events"


@dataclass(frozen=True, slots=True)
class OutOfMemoryKills:
    """The counters as they were when this was made."""

    group: int = field(default_factory=lambda: _count(_own_cgroup()))
    machine: int = field(default_factory=lambda: _count(_MACHINE))

    def sentence(self) -> str | None:
        """Say that the kernel has killed for memory since; None: it has not."""
        if _count(_own_cgroup()) > self.group:
            return "the kernel ended it, because the memory limit of its container was reached."
        if _count(_MACHINE) > self.machine:
            return "the kernel ended a process for want of memory, most likely this one."
        return None
