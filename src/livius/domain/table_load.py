"""The load of files of a lakehouse into one of its tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from livius.domain.errors import Invalid
from livius.domain.lakehouse import DEFAULT_SCHEMA, Lakehouse, LakehouseTable, is_schema_name

_TABLE: Final = re.compile(r"[A-Za-z0-9_]{1,128}", re.ASCII)
_EXTENSION: Final = re.compile(r"[A-Za-z0-9_-]{1,16}", re.ASCII)
_LONGEST_PATH: Final = 1000


class Mode(StrEnum):
    """What becomes of the rows that the table has."""

    OVERWRITE = "Overwrite"
    APPEND = "Append"
    CREATE = "Create"
    """There must be no such table yet. Fabric's REST has no such mode."""


class FileFormat(StrEnum):
    """The formats of files that can be loaded."""

    CSV = "Csv"
    PARQUET = "Parquet"
    JSON = "Json"
    """One object in each line. Fabric's REST does not load it; its portal does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLoad:
    """One load.

    ``path`` is below the lakehouse, and begins with ``Files``. A folder's files are those that end
    with ``extension``; None: as the format's do; with ``recursive``, those of its folders too.
    ``schema`` is None in a lakehouse without schemas, and means the default one in others.
    """

    table: str
    path: str
    is_folder: bool
    mode: Mode
    format: FileFormat
    extension: str | None = None
    recursive: bool = False
    header: bool = False
    delimiter: str = ","
    schema: str | None = None

    def table_in(self, lakehouse: Lakehouse) -> LakehouseTable:
        """Return the table of the load in its lakehouse."""
        schema = (self.schema or DEFAULT_SCHEMA) if lakehouse.has_schemas else None
        return LakehouseTable(folder=self.table, format="delta", schema=schema)

    @property
    def suffix(self) -> str:
        """The end of the names of a folder's files, in lower case."""
        return f".{(self.extension or self.format).lower()}"

    @property
    def statement(self) -> str:
        """The statement of a session, in Python, that does the same."""
        options = ", recursiveFileLookup=True" if self.recursive else ""
        if self.is_folder:
            options += f", pathGlobFilter={f'*{self.suffix}'!r}"
        if self.format is FileFormat.CSV:
            options += f", header={self.header}, sep={self.delimiter!r}, inferSchema=True"
        mode = "error" if self.mode is Mode.CREATE else self.mode.lower()
        table = self.table if self.schema is None else f"{self.schema}.{self.table}"
        return (
            f"spark.read.{self.format.lower()}({self.path!r}{options})"
            f".write.mode({mode!r}).saveAsTable({table!r})"
        )

    def as_request(self) -> dict[str, Any]:
        """Return the arguments as an operation's record has them."""
        return asdict(self)


def load_of(request: Mapping[str, Any]) -> TableLoad:
    """Return the load in an operation's record."""
    given = dict(request)
    return TableLoad(**given | {"mode": Mode(given["mode"]), "format": FileFormat(given["format"])})


def check_load(load: TableLoad) -> None:
    """Refuse a load that can't be done.

    Raises:
        Invalid: the message has the rule, ``field`` names the part.
    """
    parts = load.path.split("/")
    if (
        parts[0] != "Files"
        or any(part.startswith((".", "_")) or not part for part in parts[1:])
        or len(load.path) > _LONGEST_PATH
        or not load.path.isprintable()
    ):
        raise Invalid(
            "InvalidInput",
            "relativePath is the path of a file or folder below Files, such as Files/in/a.csv. No "
            "part of it is empty or begins with a dot or an underscore.",
            field="relativePath",
        )
    if not _TABLE.fullmatch(load.table):
        raise Invalid(
            "InvalidInput",
            "A table's name has 1 to 128 plain letters, digits and underscores.",
            field="tableName",
        )
    if load.schema is not None and not is_schema_name(load.schema):
        raise Invalid(
            "InvalidInput",
            "A schema's name has 1 to 66 plain small letters, digits and underscores.",
            field="schema",
        )
    if load.extension is not None and not _EXTENSION.fullmatch(load.extension):
        raise Invalid(
            "InvalidInput",
            "fileExtension has 1 to 16 letters, digits, dashes and underscores, and no dot.",
            field="fileExtension",
        )
    if len(load.delimiter) != 1 or not load.delimiter.isascii() or load.delimiter in "\"'\r\n\0":
        raise Invalid(
            "InvalidInput",
            "delimiter is one plain character, such as a comma, a semicolon or a tab.",
            field="formatOptions.delimiter",
        )
