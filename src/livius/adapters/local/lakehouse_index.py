"""The lakehouse index: files that list lakehouses and principals for drivers and the metastore.

Each principal has a file with the lakehouses of workspaces where it may run code; drivers resolve
the names in OneLake URLs with it. The metastore makes the folders of tables with a file of all
lakehouses. Each lakehouse has two lines, with tabs between their fields: workspace id, workspace
name, lakehouse id, lakehouse name; and lakehouse id, database, ``schemas`` if it has them. Where
principals have OS users of their own, another file has the databases that each may use: uid,
database, workspace id, lakehouse id, and again ``schemas``. A file is replaced atomically and only
if it changed: readers check its date. They skip lines with other numbers of fields, as a driver of
an earlier version does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Final

from livius.adapters.local.os_users import OsUser, share
from livius.domain.ids import PrincipalId
from livius.ports.catalog import LakehouseAccess

_ALL: Final = "all"
_CALLERS: Final = "callers.tsv"
_SCHEMAS: Final = "schemas"


def index_file(folder: Path, principal: PrincipalId | None = None) -> Path:
    """Return a principal's file, or the file of all lakehouses."""
    return folder / f"{_ALL if principal is None else principal}.tsv"


def callers_file(folder: Path) -> Path:
    """Return the file of the databases that each user may use."""
    return folder / _CALLERS


def write_lakehouse_index(
    folder: Path,
    places: Sequence[LakehouseAccess],
    readers: Mapping[PrincipalId, OsUser | None] = MappingProxyType({}),
    metastore: OsUser | None = None,
) -> None:
    """Write the files from the places, which are sorted by principal.

    ``readers`` are the users that the principals' drivers run as, ``metastore`` is the metastore's.
    """
    readable = {index_file(folder): metastore}
    readable |= {index_file(folder, principal): user for principal, user in readers.items()}
    wanted = {index_file(folder): sorted({_line(place) for place in places})}
    for principal, own in groupby(places, key=lambda place: place.principal):
        wanted[index_file(folder, principal)] = [_line(place) for place in own]
    if metastore is not None:
        readable[callers_file(folder)] = metastore
        wanted[callers_file(folder)] = [
            _joined(
                str(user.number),
                place.database,
                place.workspace,
                place.lakehouse,
                *([_SCHEMAS] if place.has_schemas else []),
            )
            for place in places
            if (user := readers.get(place.principal)) is not None
        ]
    for file, lines in wanted.items():
        _write(file, "".join(lines), readable.get(file))
    # A principal without a role any more keeps an empty file: a driver may still read it.
    for file in folder.glob("*.tsv"):
        if file not in wanted:
            _empty(file)


def _line(place: LakehouseAccess) -> str:
    names = (place.workspace, place.workspace_name, place.lakehouse, place.lakehouse_name)
    # A name with a control character can't be in a URL; the id still can.
    return _joined(*(name if name.isprintable() else "" for name in names)) + _joined(
        place.lakehouse, place.database, _SCHEMAS if place.has_schemas else ""
    )


def _joined(*fields: str) -> str:
    return "\t".join(fields) + "\n"


def _write(file: Path, text: str, reader: OsUser | None) -> None:
    if file.exists() and file.read_text(encoding="utf-8") == text:
        share(file, reader, 0o640)  # an earlier gateway may have launched otherwise
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    share(partial, reader, 0o640)
    partial.replace(file)


def _empty(file: Path) -> None:
    if file.stat().st_size:
        os.truncate(file, 0)
