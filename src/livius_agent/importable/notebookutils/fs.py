"""Files of the lakehouse, of OneLake and of this machine.

A relative path starts from the session's lakehouse: ``Files/…`` and ``Tables/…``, and so does
``/lakehouse/default/…``. ``abfss://<workspace>@onelake.dfs.fabric.microsoft.com/<lakehouse>.Lakehouse/…``
names any lakehouse that the session may use, ``file:/…`` a file of this machine.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from os import fspath as _text
from typing import Any

from livius_agent import notebook as _notebook
from notebookutils._missing import missing as _missing

_NO_MOUNT = "there is no remote storage to mount. The lakehouse is at /lakehouse/default already"


Path = str | PathLike[str]


def _string(content: object) -> str:
    if not isinstance(content, str):
        raise TypeError(f"The content is text, not {type(content).__name__}.")
    return content


@dataclass(frozen=True)
class FileInfo:
    """A file or folder; ``size`` in bytes, ``modifyTime`` in milliseconds since 1970."""

    path: str
    name: str
    size: int
    isDir: bool
    isFile: bool
    modifyTime: int

    def __repr__(self) -> str:
        return f"FileInfo(path={self.path}, name={self.name}, size={self.size})"


def ls(path: Path) -> list[FileInfo]:
    """List a folder; of a file, the file itself."""
    return [FileInfo(**one) for one in json.loads(_notebook.files("lsJson", _text(path)))]


def mkdirs(path: Path) -> bool:
    """Make a folder, and those above it; one that is there already is fine."""
    return bool(_notebook.files("mkdirs", _text(path)))


def cp(src: Path, dest: Path, recurse: bool = False) -> bool:
    """Copy a file, or with ``recurse`` a folder.

    It goes into a folder that exists, and over a file that exists.
    """
    return bool(_notebook.files("cp", _text(src), _text(dest), bool(recurse)))


def fastcp(
    src: Path, dest: Path, recurse: bool = True, extraConfigs: Mapping[str, Any] | None = None
) -> bool:
    """Copy as cp does; here neither is faster. ``extraConfigs`` has no effect."""
    del extraConfigs
    return cp(src, dest, recurse)


def mv(src: Path, dest: Path, create_path: bool = False, overwrite: bool = False) -> bool:
    """Move a file or folder: into a folder that exists, else to the name.

    ``create_path`` makes the folder above, ``overwrite`` replaces what has the name.
    """
    return bool(_notebook.files("mv", _text(src), _text(dest), bool(create_path), bool(overwrite)))


def put(file: Path, content: str, overwrite: bool = False) -> bool:
    """Write text to a file, as UTF-8; ``overwrite`` replaces one that exists."""
    return bool(_notebook.files("put", _text(file), _string(content), bool(overwrite)))


def head(file: Path, max_bytes: int = 1024 * 100) -> str:
    """Give the first bytes of a file as text; a character that the end cuts is left out."""
    return str(_notebook.files("head", _text(file), int(max_bytes)))


def append(file: Path, content: str, createFileIfNotExists: bool = False) -> bool:
    """Add text to a file; ``createFileIfNotExists`` makes one."""
    return bool(
        _notebook.files("append", _text(file), _string(content), bool(createFileIfNotExists))
    )


def rm(path: Path, recurse: bool = False) -> bool:
    """Remove a file, or with ``recurse`` a folder; False if there was nothing."""
    return bool(_notebook.files("rm", _text(path), bool(recurse)))


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder."""
    return bool(_notebook.files("exists", _text(path)))


mount = _missing("fs.mount", _NO_MOUNT)
unmount = _missing("fs.unmount", _NO_MOUNT)
mounts = _missing("fs.mounts", _NO_MOUNT)
refreshMounts = _missing("fs.refreshMounts", _NO_MOUNT)
getMountPath = _missing("fs.getMountPath", _NO_MOUNT)
mountToDriverNode = _missing("fs.mountToDriverNode", _NO_MOUNT)
unmountFromDriverNode = _missing("fs.unmountFromDriverNode", _NO_MOUNT)
getProperties = _missing("fs.getProperties", "Fabric's Spark sessions have it not either. Use ls")
nbResPath = _missing("fs.nbResPath", "only Fabric's notebooks have resources")

help = _notebook.helper(
    globals(),
    ("ls", "mkdirs", "cp", "fastcp", "mv", "put", "head", "append", "rm", "exists"),
)
