"""A result as an Arrow IPC stream. The API gives JSON, so each value is read by its Spark type."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from pyarrow import ipc

from livius.columns import unique_names

Fields = Sequence[Mapping[str, Any]]
"""Columns as Spark's JSON schemas have them."""
Batch = Sequence[Sequence[Any]]
"""Rows."""

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


class Misfit(ValueError):
    """A value has no place in its column's Arrow type, such as a date after the year 9999."""

    def __init__(self, column: str, kind: pa.DataType, reason: Exception) -> None:
        super().__init__(f"The column {column} does not fit Arrow's type {kind}: {reason}")


def arrow_stream(fields: Fields, batches: Iterable[Batch], zone: str | None) -> Iterator[bytes]:
    """Yield an Arrow IPC stream. What Arrow has no type for is text.

    ``zone`` is the time zone of the moments, which come as its local times; without one they stay
    local times.

    Raises:
        Misfit: when it comes to that batch.
    """
    types = [_arrow_type(field["type"], zone) for field in fields]
    schema = pa.schema(
        [
            pa.field(field["name"], kind, nullable=field.get("nullable", True))
            for field, kind in zip(fields, types, strict=True)
        ]
    )
    file = _Collected()
    with ipc.new_stream(file, schema) as stream:
        for batch in batches:
            if fields:
                stream.write_batch(_record_batch(fields, schema, batch, zone))
            yield file.taken()
    yield file.taken()


class _Collected(io.RawIOBase):
    """A file for pyarrow to write to; what it has written is taken piece by piece."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += memoryview(data)
        return len(data)

    def taken(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def _record_batch(
    fields: Fields, schema: pa.Schema, batch: Batch, zone: str | None
) -> pa.RecordBatch:
    columns = []
    for number, field in enumerate(fields):
        kind = schema.types[number]
        try:
            values = [_value(row[number], field["type"], zone) for row in batch]
            columns.append(pa.array(values, type=kind))
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise Misfit(field["name"], kind, error) from error
    return pa.record_batch(columns, schema=schema)


def _arrow_type(kind: Any, zone: str | None) -> pa.DataType:
    if isinstance(kind, dict):
        nested = _NESTED_TYPES.get(kind["type"])
        return pa.string() if nested is None else nested(kind, zone)
    if (found := _DECIMAL.fullmatch(kind)) is not None:
        return pa.decimal128(int(found[1]), int(found[2]))
    if kind == "timestamp":
        return pa.timestamp("us", tz=zone)
    return _TYPES.get(kind, pa.string())


def _struct_type(kind: dict[str, Any], zone: str | None) -> pa.DataType:
    names = unique_names([one["name"] for one in kind["fields"]])
    pairs = zip(names, kind["fields"], strict=True)
    return pa.struct([(name, _arrow_type(one["type"], zone)) for name, one in pairs])


_NESTED_TYPES: Final[Mapping[str, Callable[[dict[str, Any], str | None], pa.DataType]]] = {
    "array": lambda kind, zone: pa.list_(_arrow_type(kind["elementType"], zone)),
    "struct": _struct_type,
    "map": lambda kind, zone: pa.map_(pa.string(), _arrow_type(kind["valueType"], zone)),
}


def _value(value: Any, kind: Any, zone: str | None) -> Any:
    """Return a value of the API's JSON as pyarrow takes it."""
    if value is None:
        return None
    if isinstance(kind, dict) and kind["type"] in _NESTED_VALUES:
        return _NESTED_VALUES[kind["type"]](value, kind, zone)
    if kind == "timestamp":
        moment = datetime.fromisoformat(value)
        return moment if zone is None else moment.replace(tzinfo=ZoneInfo(zone))
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
_NESTED_VALUES: Final[Mapping[str, Callable[[Any, dict[str, Any], str | None], Any]]] = {
    "array": lambda value, kind, zone: [_value(one, kind["elementType"], zone) for one in value],
    "struct": lambda value, kind, zone: {
        name: _value(value[name], one["type"], zone)
        for name, one in zip(value, kind["fields"], strict=True)
    },
    "map": lambda value, kind, zone: [
        (name, _value(one, kind["valueType"], zone)) for name, one in value.items()
    ],
}
