"""The contents of a lakehouse: files and folders, and tables as their Delta logs describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from livius.domain.errors import NotFound
from livius.domain.messages import Message

_MOST_PARTS: Final = 64


class Area(StrEnum):
    """The two folders of a lakehouse."""

    TABLES = "Tables"
    FILES = "Files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much a file or folder is; ``is_cut``: at least so much. ``size`` is in bytes."""

    files: int
    size: int
    is_folder: bool
    is_cut: bool = False


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
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One version of a table, and the operation that made it."""

    version: int
    at: datetime | None
    operation: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file of a table's present version; ``rows`` is None if the log does not say."""

    path: str
    size: int
    rows: int | None
    changed_at: datetime | None


class TablePart(StrEnum):
    """A part of a table's description, beyond the facts and columns that each has."""

    ROWS = "rows"
    HISTORY = "history"
    FILES = "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """The facts of a table's present version, all from its log.

    ``size`` is in bytes. ``rows`` is None if the log does not say; with deletion vectors the table
    has ``rows`` or fewer, which `may_have_fewer_rows` tells.
    """

    version: int
    changed_at: datetime | None
    rows: int | None
    size: int
    files: int
    columns: int
    may_have_fewer_rows: bool = False
    description: str = ""
    partitioned_by: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDescription:
    """A table as a page shows it: bounded in columns, rows, versions, files and length of cells.

    Of rows, commits and files it has those that were asked for: the newest commits and files.
    ``trouble`` says why there are no rows to show. ``more_rows`` and ``more_columns`` tell that
    some were left out.
    """

    facts: TableFacts
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | None]] = ()
    commits: Sequence[Commit] = ()
    files: Sequence[DataFile] = ()
    more_rows: bool = False
    more_columns: bool = False
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view: its name and query as SQL has them. ``is_cut``: the text is longer."""

    name: str
    text: str
    columns: Sequence[Column]
    comment: str
    created_at: datetime | None
    is_cut: bool = False


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
