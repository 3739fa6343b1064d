"""Files that only their owner may read, written atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from uuid import uuid4

_FOLDER: Final = 0o700
_FILE: Final = 0o600


def private_folder(folder: Path) -> None:
    """Make a folder, or use an existing one, that only its owner may enter."""
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
    """Read a file; remove others' permissions, which a copy or a backup may have added."""
    content = path.read_bytes()
    if path.stat().st_mode & 0o077:
        path.chmod(_FILE)
    return content
