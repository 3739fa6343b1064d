"""Letting other users of the machine reach what a gateway's processes run, for one process tree.

Where Python is in a folder that is closed to others, such as root's home, a command gets a mount
namespace of its own in which that folder holds nothing but what is needed, and is open. Nothing
changes on the machine.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.gateway import ROOT, runtimes_folder

_SCRIPT = """
set -e
closed=$1 stash=$2 count=$3; shift 3
mount -t tmpfs -o mode=755 tmpfs "$stash"
number=0
for path in "$@"; do
  [ $number -lt $count ] || break
  mkdir "$stash/$number"; mount --bind "$path" "$stash/$number"; number=$((number + 1))
done
mount -t tmpfs -o mode=755 tmpfs "$closed"
number=0
while [ $number -lt $count ]; do
  mkdir -p "$1"; mount --bind "$stash/$number" "$1"; number=$((number + 1)); shift
done
umount -l "$stash"
exec "$@"
"""


def opened(stash: Path) -> tuple[str | Path, ...]:
    """The prefix of a command, to be run as root. ``stash`` is an empty folder."""
    needed = sorted({Path(sys.base_prefix), ROOT, runtimes_folder()})
    closed = {one for path in needed for one in path.parents if not one.stat().st_mode & 0o001}
    prefix: tuple[str | Path, ...] = ()
    emptied: list[Path] = []
    for folder in sorted(closed, key=lambda one: len(one.parts)):
        was_bound = any(path in folder.parents for path in needed)
        if any(one in folder.parents for one in emptied) and not was_bound:
            continue  # it was made again, and open
        inside = [path for path in needed if folder in path.parents]
        program = ("unshare", "--mount", "sh", "-c", _SCRIPT, "sh")
        prefix = (*prefix, *program, folder, stash, str(len(inside)), *inside)
        emptied.append(folder)
    return prefix


def can_become_others(stash: Path) -> bool:
    """Tell whether this is root, with what it takes for `opened`, and for becoming others."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    prefix = opened(stash)
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
