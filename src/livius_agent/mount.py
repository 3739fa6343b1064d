"""The lakehouse at ``/lakehouse/default``, where Fabric's notebooks have it.

The place exists for a driver's processes only: they get a mount namespace of their own, with a root
folder made of the machine's folders and that one more. So nothing is mounted or made on the
machine, and all of it goes with the last process. It takes root, or a kernel that lets anybody
make a user namespace; where neither is so, the errors of code that names the place say what to do.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from pathlib import Path
from typing import Final

PLACE: Final = "/lakehouse/default"

_NEW_NAMESPACE: Final = 0x20000
_NEW_USER: Final = 0x10000000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _SLAVE = 0x1, 0x20, 0x1000, 0x4000, 0x80000
_DETACH: Final = 2
_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}

_QUOTED: Final = re.compile(rf"(['\"`])(?:file:)?/*{PLACE}/?(.*?)\1")
_BARE: Final = re.compile(rf"{PLACE}(?:/([^\s'\"`,;)\]]*))?(?=[\s'\"`,;)\]]|$)")

_libc: Final = ctypes.CDLL(None, use_errno=True)


def make_place(root: str | None, new: Path) -> bool:
    """Show the folder at `PLACE` to this process and all that it starts; tell whether it worked.

    Without ``root`` the place is empty, for `show_in`. For a process with one thread. ``new`` is an
    empty folder, and stays one for everybody else. Nobody that isn't trusted may write beside it:
    root builds in it.
    """
    here = Path.cwd()
    mask = os.umask(0o022)  # the later user of this process passes through these folders
    try:
        _enter_namespace()
        _mount(None, "/", _RECURSIVE | _SLAVE)
        _mount("tmpfs", new, 0, kind="tmpfs")
        _copy_root(new)
        place = new / PLACE[1:]
        place.mkdir(parents=True)
        if root is not None:
            _mount(root, place, _BIND | _RECURSIVE)
        _mount(None, new, _REMOUNT | _BIND | _READ_ONLY)
        _swap_root(new)
        os.chdir(here)
    except OSError as error:
        sys.stderr.write(f"There is no {PLACE} in this session: {error}\n")
        return False
    finally:
        os.umask(mask)
    return True


def show_in(pid: int, root: str) -> None:
    """Show the folder at the place of another process, and of all that it has started.

    For a process with one thread that ends afterwards: it joins the other's namespaces.

    Raises:
        OSError: the other process has no place, or is not ours.
    """
    theirs, ours = (Path(f"/proc/{one}/ns/mnt").stat() for one in (pid, "self"))
    if os.path.samestat(theirs, ours):
        raise OSError("it has the machine's own folders")
    if os.geteuid() != 0:
        _join(pid, "user")
    _join(pid, "mnt")
    if not os.path.samestat(Path(root).stat(), Path(PLACE).stat()):  # else it is there already
        _mount(root, PLACE, _BIND | _RECURSIVE)


def _join(pid: int, kind: str) -> None:
    with Path(f"/proc/{pid}/ns/{kind}").open("rb") as namespace:
        _check(_libc.setns(namespace.fileno(), 0))


def _enter_namespace() -> None:
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        _check(_libc.unshare(_NEW_NAMESPACE))
        return
    _check(_libc.unshare(_NEW_NAMESPACE | _NEW_USER))
    # Everybody stays who they are.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text, encoding="ascii")


def _copy_root(new: Path) -> None:
    """Put all that is in the root folder into the new one."""
    for entry in os.scandir("/"):
        target = new / entry.name
        if entry.name == Path(PLACE).parts[1]:
            continue
        if entry.is_symlink():
            target.symlink_to(Path(entry.path).readlink())
            continue
        if entry.is_dir():
            target.mkdir()
        else:
            target.touch()
        _mount(entry.path, target, _BIND | _RECURSIVE)


def _swap_root(new: Path) -> None:
    os.chdir(new)
    # The old root is put onto the new one, and taken off there.
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"no mounts on {platform.machine()}")
    _check(_libc.syscall(number, b".", b"."))
    _check(_libc.umount2(b".", _DETACH))
    os.chdir("/")


def _mount(source: str | None, target: Path | str, flags: int, *, kind: str | None = None) -> None:
    what, where, how = (
        None if part is None else os.fsencode(part) for part in (source, target, kind)
    )
    _check(_libc.mount(what, where, how, ctypes.c_ulong(flags), None))


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _is_there() -> bool:
    try:
        return Path(PLACE).is_dir()
    except OSError:
        return False


def with_hint(message: str | None) -> str | None:
    """Add to an error's message what to write instead, if it names `PLACE` and nothing is there."""
    found = _QUOTED.search(message or "") or _BARE.search(message or "")
    if message is None or found is None or _is_there():
        return message
    inside = (found[found.re.groups] or "").rstrip(".")
    return (
        f"{message} (This machine can't show the lakehouse at {PLACE}. Paths in a session start "
        f"from the lakehouse: write {inside or '.'} instead.)"
    )
