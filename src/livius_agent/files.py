"""Reads files whose folder may be another user's and may have anything in their place.

Standard library only: the supervisor and the gateway use it too.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, cast


def open_regular(path: Path, mode: str = "rb", *, folder: int | None = None) -> BinaryIO:
    """Open a regular file. No link is followed and no pipe or device waited for.

    A relative path is one in the open ``folder``.

    Raises:
        FileNotFoundError: there is none.
        OSError: it can't be read, or it is no regular file.
    """
    access = os.O_RDWR if "+" in mode else os.O_RDONLY
    flags = access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return cast("BinaryIO", os.fdopen(descriptor, mode))


def read_regular(path: Path, most: int) -> bytes:
    """Return up to ``most`` bytes of a regular file.

    Raises:
        FileNotFoundError: there is none.
        OSError: it can't be read, or it is no regular file.
    """
    with open_regular(path) as file:
        return file.read(most)


def read_tail(path: Path, most: int) -> bytes:
    """Return up to ``most`` bytes of a regular file's end; nothing where none can be read."""
    try:
        with open_regular(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most)
    except OSError:
        return b""
