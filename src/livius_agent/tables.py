"""What ``%json`` and ``%table`` give: a value as JSON, and rows as classic Livy's table.

Of Spark's DataFrames and RDDs it is the first rows. Each function returns what it made, and a line
of text that says what it left out, or None.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from livius_agent import frames
from livius_agent.values import is_missing, to_json, to_object, unique

MOST_ROWS: Final = 1000
"""The most rows of a Spark DataFrame or RDD."""

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
    (set, "ARRAY_TYPE"),
    (frozenset, "ARRAY_TYPE"),
)
_MISSING: Final = "NULL_TYPE"

Column = tuple[str, int]
"""A column's name, and how many columns before it have the same name."""


def json_of(value: Any) -> tuple[Any, str | None]:
    """Return a value as JSON: of frames, an object for each row."""
    value = _as_frame(value)
    if frames.is_frame(value):
        found = frames.rows_of(value, MOST_ROWS)
        names = unique(header["name"] for header in found.headers)
        return [dict(zip(names, row, strict=True)) for row in found.values], found.note
    if _is_of_pandas(value, "DataFrame"):
        names = [str(name) for name in value.columns]
        return [to_object(names, row) for row in _rows_of_pandas(value)], None
    if _is_of_pandas(value, "Series") or _is_of_pandas(value, "Index"):
        return to_json(_cells_of_pandas(value)), None
    rows, note = _first(value)
    return to_json(rows), note


def table_of(value: Any) -> tuple[dict[str, Any], str | None]:
    """Return rows as a table: headers with types, and data.

    Raises:
        ValueError: one column has values of several types.
    """
    value = _as_frame(value)
    if frames.is_frame(value):
        found = frames.rows_of(value, MOST_ROWS)
        return {"headers": found.headers, "data": found.values}, found.note
    rows, note = _first(value)
    lines = [dict(_numbered(row)) for row in _as_pairs(rows)]
    columns = list(dict.fromkeys(column for line in lines for column in line))
    cells = {column: [line.get(column) for line in lines] for column in columns}
    types = {column: _type_of(column[0], cells[column]) for column in columns}
    data = [[_plain(line.get(column), types[column]) for column in columns] for line in lines]
    heads = [{"name": column[0], "type": types[column]} for column in columns]
    return {"headers": heads, "data": data}, note


def _as_frame(value: Any) -> Any:
    """Return the Spark DataFrame of a frame of pandas on Spark; anything else as it is."""
    is_one = type(value).__module__.startswith("pyspark.pandas.") and hasattr(value, "to_spark")
    return value.to_spark() if is_one else value


def _first(value: Any) -> tuple[Any, str | None]:
    """Return an RDD's first elements; anything else as it is."""
    if not (hasattr(value, "_jrdd") and hasattr(value, "take")):
        return value, None
    found = value.take(MOST_ROWS + 1)
    is_cut = len(found) > MOST_ROWS
    note = f"The first {MOST_ROWS} rows are given; there are more.\n" if is_cut else None
    return found[:MOST_ROWS], note


def _is_of_pandas(value: Any, name: str) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, name))


def _rows_of_pandas(frame: Any) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a frame, by position: names may be there twice."""
    columns = [_cells_of_pandas(frame.iloc[:, at]) for at in range(frame.shape[1])]
    return zip(*columns, strict=True) if columns else iter([()] * len(frame))


def _cells_of_pandas(series: Any) -> list[Any]:
    """Return the values; pandas counts NaN as missing, and so do we."""
    missing = series.isna()
    return [None if gone else cell for cell, gone in zip(series, missing, strict=True)]


def _as_pairs(value: Any) -> Iterable[Iterable[tuple[str, Any]]]:
    """Return rows as names with values."""
    if _is_of_pandas(value, "DataFrame"):
        names = [str(name) for name in value.columns]
        return [zip(names, row, strict=True) for row in _rows_of_pandas(value)]
    if _is_of_pandas(value, "Series") or _is_of_pandas(value, "Index"):
        return [[("0", cell)] for cell in _cells_of_pandas(value)]
    return map(_pairs_of, value if isinstance(value, list | tuple) else [value])


def _pairs_of(row: Any) -> Iterable[tuple[str, Any]]:
    if names := getattr(row, "__fields__", None):
        return zip(names, row, strict=True)
    if isinstance(row, Mapping):
        return [(str(name), cell) for name, cell in row.items()]
    cells = row if isinstance(row, list | tuple) else [row]
    return [(str(at), cell) for at, cell in enumerate(cells)]


def _numbered(row: Iterable[tuple[str, Any]]) -> Iterator[tuple[Column, Any]]:
    seen: Counter[str] = Counter()
    for name, cell in row:
        yield (name, seen[name]), cell
        seen[name] += 1


def _type_of(name: str, cells: Iterable[Any]) -> str:
    found = dict.fromkeys(map(_kind_of, cells))
    found.pop(_MISSING, None)
    if found.keys() - {"NAN"}:
        found.pop(
            "NAN", None
        )  # Beside other values it is pandas' way to write that one is missing.
    if len(found) > 1:
        raise ValueError(f"The column {name} holds both {' and '.join(found)}.")
    [kind] = found or [_MISSING]
    return "DOUBLE_TYPE" if kind == "NAN" else kind


def _kind_of(cell: Any) -> str:
    if hasattr(cell, "dtype") and hasattr(cell, "item"):  # NumPy's scalars and arrays
        if getattr(cell, "ndim", 1):
            return "ARRAY_TYPE"
        if cell.dtype.kind == "M":
            return "TIMESTAMP_TYPE"
        cell = cell.item()
    if is_missing(cell):
        return _MISSING
    if isinstance(cell, float) and math.isnan(cell):
        return "NAN"
    if hasattr(cell, "__fields__"):
        return "MAP_TYPE"
    return next((name for kind, name in _LIVY_TYPES if isinstance(cell, kind)), "STRING_TYPE")


def _plain(cell: Any, kind: str) -> Any:
    return None if _kind_of(cell) == "NAN" and kind != "DOUBLE_TYPE" else to_json(cell)
