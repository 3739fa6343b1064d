"""A result as an Arrow IPC stream. The API gives JSON, so each value is read by its Spark type."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from pyarrow import ipc

from livius.cli.work.api import Failed
from livius.cli.work.results import Rows

_DECIMAL: Final = re.compile(r"decimal\((\d+),\s*(-?\d+)\)")
_TYPES: Final = {
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp_ntz": pa.timestamp("us"),
    "void": pa.null(),
}


def needs_zone(rows: Rows) -> bool:
    """Tell whether the session's time zone is needed: moments come as its local times."""
    return '"timestamp"' in json.dumps([field["type"] for field in rows.fields])


def write_arrow(rows: Rows, file: IO[bytes], *, zone: str) -> None:
    """Write an Arrow IPC stream of one batch. What Arrow has no type for is text.

    Raises:
        Failed: a value does not fit Arrow's type, such as a date after the year 9999.
    """
    columns, types = [], []
    for number, field in enumerate(rows.fields):
        kind = _arrow_type(field["type"], zone)
        try:
            values = [_value(row[number], field["type"], zone) for row in rows.data]
            columns.append(pa.array(values, type=kind))
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise Failed(
                f"The column {field['name']} does not fit Arrow's type {kind}: {error}. Use "
                "--format json, or cast it to string in the query."
            ) from error
        types.append(pa.field(field["name"], kind, nullable=field.get("nullable", True)))
    schema = pa.schema(types)
    with ipc.new_stream(file, schema) as stream:
        if columns:
            stream.write_batch(pa.record_batch(columns, schema=schema))


def _arrow_type(kind: Any, zone: str) -> pa.DataType:
    if isinstance(kind, dict):
        nested = _NESTED_TYPES.get(kind["type"])
        return pa.string() if nested is None else nested(kind, zone)
    if (found := _DECIMAL.fullmatch(kind)) is not None:
        return pa.decimal128(int(found[1]), int(found[2]))
    if kind == "timestamp":
        return pa.timestamp("us", tz=zone)
    return _TYPES.get(kind, pa.string())


def _struct_type(kind: dict[str, Any], zone: str) -> pa.DataType:
    names = Rows(fields=kind["fields"], data=[]).unique_names
    pairs = zip(names, kind["fields"], strict=True)
    return pa.struct([(name, _arrow_type(one["type"], zone)) for name, one in pairs])


_NESTED_TYPES: Final[Mapping[str, Callable[[dict[str, Any], str], pa.DataType]]] = {
    "array": lambda kind, zone: pa.list_(_arrow_type(kind["elementType"], zone)),
    "struct": _struct_type,
    "map": lambda kind, zone: pa.map_(pa.string(), _arrow_type(kind["valueType"], zone)),
}


def _value(value: Any, kind: Any, zone: str) -> Any:
    """Return a value of the API's JSON as pyarrow takes it."""
    if value is None:
        return None
    if isinstance(kind, dict) and kind["type"] in _NESTED_VALUES:
        return _NESTED_VALUES[kind["type"]](value, kind, zone)
    if kind == "timestamp":
        return datetime.fromisoformat(value).replace(tzinfo=ZoneInfo(zone))
    if isinstance(kind, str):
        name = kind.partition("(")[0]
        if name in _VALUES:
            return _VALUES[name](value)
        if name in _TYPES:
            return value
    # Arrow has no such type: a variant, an interval, a type of the user's own.
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_VALUES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "float": float,  # also of NaN and the infinities, which come as text
    "double": float,
    "binary": base64.b64decode,
    "date": date.fromisoformat,
    "timestamp_ntz": datetime.fromisoformat,
    "decimal": Decimal,
}
_NESTED_VALUES: Final[Mapping[str, Callable[[Any, dict[str, Any], str], Any]]] = {
    "array": lambda value, kind, zone: [_value(one, kind["elementType"], zone) for one in value],
    "struct": lambda value, kind, zone: {
        name: _value(value[name], one["type"], zone)
        for name, one in zip(value, kind["fields"], strict=True)
    },
    "map": lambda value, kind, zone: [
        (name, _value(one, kind["valueType"], zone)) for name, one in value.items()
    ],
}
