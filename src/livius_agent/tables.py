"""What ``display(df)`` gives of a Spark DataFrame, and ``%table`` of any rows."""

from __future__ import annotations

import datetime as dt
import decimal
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from livius_agent.values import to_json

HTML_ROWS: Final = 1000
TEXT_ROWS: Final = 20
_CELL: Final = 1000
_TEXT_CELL: Final = 20
_ROW: Final = re.compile(r"<tr>(.*?)</tr>", re.DOTALL)
_VALUE: Final = re.compile(r"<t[hd]>(.*?)</t[hd]>", re.DOTALL)

_LIVY_TYPES: Final[Sequence[tuple[type, str]]] = (
    (bool, "BOOLEAN_TYPE"),
    (int, "BIGINT_TYPE"),
    (float, "DOUBLE_TYPE"),
    (decimal.Decimal, "DECIMAL_TYPE"),
    (str, "STRING_TYPE"),
    (dt.datetime, "TIMESTAMP_TYPE"),
    (dt.date, "DATE_TYPE"),
    (dict, "MAP_TYPE"),
    (list, "ARRAY_TYPE"),
    (tuple, "ARRAY_TYPE"),
)


def of_frame(frame: Any) -> dict[str, Any]:
    """Run a Spark DataFrame and return its first rows as a bundle, which says so when it cuts."""
    made = frame._jdf.htmlString(HTML_ROWS, _CELL)  # noqa: SLF001 - what its own HTML is made with
    # One run gives both forms: the text is read back from HTML whose form is Spark's own.
    rows = [[html.unescape(cell) for cell in _VALUE.findall(row)] for row in _ROW.findall(made)]
    return {"text/html": made, "text/plain": _as_text(rows)}


def _as_text(rows: Sequence[Sequence[str]]) -> str:
    """Draw a table as ``df.show()`` does."""
    shown = [[_short(cell) for cell in row] for row in rows[: TEXT_ROWS + 1]]
    widths = [max(3, *map(len, column)) for column in zip(*shown, strict=True)]
    rule = "+" + "+".join("-" * width for width in widths) + "+"
    lines = [
        "|" + "|".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + "|"
        for row in shown
    ]
    drawn = [rule, *lines[:1], rule, *lines[1:], rule]
    if len(rows) > len(shown):
        drawn.append(f"only showing top {TEXT_ROWS} rows")
    return "\n".join(drawn)


def _short(cell: str) -> str:
    return cell if len(cell) <= _TEXT_CELL else cell[: _TEXT_CELL - 3] + "..."


def of_rows(value: Any) -> dict[str, Any]:
    """Return rows in the form of classic Livy's table: headers with types, and data.

    Raises:
        ValueError: one column has values of several types.
    """
    rows = [_as_mapping(row) for row in _rows(value)]
    types: dict[str, str] = {}
    for row in rows:
        for name, cell in row.items():
            kind = _type_of(cell)
            known = types.setdefault(name, kind)
            if known == "NULL_TYPE":
                types[name] = kind
            elif kind not in (known, "NULL_TYPE"):
                raise ValueError(f"The column {name} holds both {known} and {kind}.")
    return {
        "headers": [{"name": name, "type": kind} for name, kind in types.items()],
        "data": [[to_json(row.get(name)) for name in types] for row in rows],
    }


def _rows(value: Any) -> Iterable[Any]:
    if hasattr(value, "limit") and hasattr(value, "collect"):  # a Spark DataFrame
        return list(value.take(HTML_ROWS))
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a pandas DataFrame
        return list(value.to_dict("records"))
    return value if isinstance(value, list | tuple) else [value]


def _as_mapping(row: Any) -> Mapping[str, Any]:
    if hasattr(row, "asDict"):
        return dict(zip(row.__fields__, row, strict=True))
    if isinstance(row, Mapping):
        return {str(name): cell for name, cell in row.items()}
    cells = row if isinstance(row, list | tuple) else [row]
    return {str(at): cell for at, cell in enumerate(cells)}


def _type_of(cell: Any) -> str:
    if hasattr(cell, "item") and hasattr(cell, "dtype"):  # NumPy's scalars
        cell = cell.item()
    if cell is None:
        return "NULL_TYPE"
    return next((name for kind, name in _LIVY_TYPES if isinstance(cell, kind)), "STRING_TYPE")
