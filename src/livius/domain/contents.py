"""The contents of a lakehouse: files and folders, and tables as their Delta logs describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from livius.domain.errors import NotFound
from livius.domain.messages import Message

_MOST_PARTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or a folder; ``size`` is in bytes, 0 for a folder."""

    name: str
    is_folder: bool
    size: int
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table, with Delta's name of its type."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One version of a table, and the operation that made it."""

    version: int
    at: datetime | None
    operation: str
    parameters: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePreview:
    """A table as a page shows it: bounded in columns, rows, versions and in the length of cells.

    ``trouble`` says why there are no rows to show; the schema is there all the same. ``more_rows``
    and ``more_columns`` tell that some were left out.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str | None]]
    commits: Sequence[Commit]
    more_rows: bool
    more_columns: bool
    trouble: str | None


def parts_of(path: str) -> tuple[str, ...]:
    """Return the parts of a path below ``Files/``.

    Raises:
        NotFound: the path leads nowhere, such as upwards.
    """
    parts = tuple(part for part in path.split("/") if part)
    if len(parts) > _MOST_PARTS or any(part in (".", "..") or "\0" in part for part in parts):
        raise NotFound(
            "PathNotFound", Message("There is no such file or folder in this lakehouse.")
        )
    return parts
