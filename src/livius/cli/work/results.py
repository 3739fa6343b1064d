"""The rows of a result as a table, CSV, JSON or Arrow."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

from rich.cells import cell_len

from livius.columns import unique_names

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NUMBERS: Final = ("byte", "short", "integer", "long", "float", "double", "decimal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A result: the columns as Spark describes them, the values as the API's JSON has them."""

    fields: Sequence[dict[str, Any]]
    data: Sequence[Sequence[Any]]

    @property
    def names(self) -> list[str]:
        """The columns' names; two may be the same."""
        return [field["name"] for field in self.fields]

    @property
    def unique_names(self) -> list[str]:
        """The columns' names; the second ``a`` is ``a_2``."""
        return unique_names(self.names)


def rows_of(data: dict[str, Any]) -> Rows | None:
    """Return the rows of an SQL statement's output, or of ``%table``; None if it has none."""
    found = data.get("application/json")
    if isinstance(found, dict) and isinstance(found.get("schema"), dict):
        return Rows(fields=found["schema"]["fields"], data=found["data"])
    table = data.get("application/vnd.livy.table.v1+json")
    if table is not None:
        return Rows(fields=table["headers"], data=table["data"])
    return None


def write_table(rows: Rows, file: TextIO) -> None:
    """Write columns side by side for people. A result without columns is nothing."""
    if not rows.fields:
        return
    right = [_is_number(field) for field in rows.fields]
    lines = [[_cell(name) for name in rows.names]]
    lines += [[_cell(_text(value, null="NULL")) for value in row] for row in rows.data]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        cells = [
            " " * (width - cell_len(cell)) + cell
            if at_right
            else cell + " " * (width - cell_len(cell))
            for cell, width, at_right in zip(line, widths, right, strict=True)
        ]
        file.write("  ".join(cells).rstrip() + "\n")
        if number == 0:
            file.write("  ".join("─" * width for width in widths) + "\n")


def write_csv(rows: Rows, file: TextIO) -> None:
    """Write a header and a line for each row (RFC 4180). Null and empty text are both empty."""
    if not rows.fields:
        return
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(rows.names)
    writer.writerows([_text(value, null="") for value in row] for row in rows.data)


def write_json(rows: Rows, file: TextIO) -> None:
    """Write an array with an object for each row, a line each."""
    names = rows.unique_names
    separator = "["
    for row in rows.data:
        one = dict(zip(names, row, strict=True))
        file.write(f"{separator}{json.dumps(one, ensure_ascii=False)}")
        separator = ",\n "
    file.write("]\n" if rows.data else "[]\n")


def _text(value: Any, *, null: str) -> str:
    match value:
        case None:
            return null
        case str():
            return value
        case _:  # numbers and truth values as JSON has them, too
            return json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    """Return text on one line, without what would control the terminal."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def _is_number(field: dict[str, Any]) -> bool:
    kind = field["type"]
    return isinstance(kind, str) and kind.partition("(")[0].lower() in _NUMBERS
