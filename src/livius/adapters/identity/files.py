"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from uuid import uuid4

_FOLDER: Final = 0o700
_FILE: Final = 0o600


def private_folder(folder: Path) -> None:
    """Make a folder, or take a present one, and close it to everybody else."""
    folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    folder.chmod(_FOLDER)


def write_private(path: Path, content: bytes) -> None:
    """Write a file. A reader, or a restart after a crash, finds the old content or the new."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def read_private(path: Path) -> bytes:
    """Read a file, and close it to others where a copy or a backup has opened it."""
    content = path.read_bytes()
    if path.stat().st_mode & 0o077:
        path.chmod(_FILE)
    return content
