"""SQL statements: rows with their schema as JSON (classic Livy's ``application/json``).

Values keep what JSON can hold. Decimals are text, so that no digit is lost; moments are text as
Spark prints them; bytes are base64; structs are objects; NaN and infinities are text.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

_NO_SCHEMA: Final = {"type": "struct", "fields": []}


def run_sql(spark: Any, code: str, limit: int) -> dict[str, Any]:
    """Run one SQL statement and return its answer; at most ``limit`` rows, and it says so."""
    text = code.strip().rstrip(";").strip()
    if not text:
        return _error("There is no SQL in the statement.", [])
    try:
        frame = spark.sql(text)
        schema = frame.schema
        rows = frame.take(limit + 1) if schema.fields else []
    except KeyboardInterrupt:
        raise
    except Exception as error:  # noqa: BLE001 - the user's SQL may raise anything
        from livius_agent.repl import message_of

        message = message_of(error)
        return _error(message, [f"{line}\n" for line in message.splitlines()])
    body: dict[str, Any] = {
        "schema": schema.jsonValue() if schema.fields else _NO_SCHEMA,
        "data": [[to_json(value) for value in row] for row in rows[:limit]],
    }
    if len(rows) > limit:
        body |= {"truncated": True, "row_limit": limit}
    return {"outcome": "ok", "with_text": False, "data": {"application/json": body}}


def _error(message: str, lines: list[str]) -> dict[str, Any]:
    return {"outcome": "error", "ename": "Error", "evalue": message, "traceback": lines}


def to_json(value: Any) -> Any:
    """Return a Spark value as JSON can hold it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    for kind, convert in _CONVERTERS.items():
        if isinstance(value, kind):
            return convert(value)
    return str(value)


def _of_row(row: Any) -> Any:
    # A Row is a tuple with names; an unnamed one is an array.
    if hasattr(row, "asDict"):
        return {name: to_json(value) for name, value in zip(row.__fields__, row, strict=True)}
    return [to_json(value) for value in row]


def _of_moment(value: dt.datetime) -> str:
    return value.isoformat(sep=" ")


_CONVERTERS: Final[Mapping[type, Callable[[Any], Any]]] = {
    decimal.Decimal: str,
    dt.datetime: _of_moment,
    dt.date: lambda value: value.isoformat(),
    dt.timedelta: str,
    bytes: lambda value: base64.b64encode(value).decode(),
    bytearray: lambda value: base64.b64encode(value).decode(),
    tuple: _of_row,
    list: lambda value: [to_json(item) for item in value],
    dict: lambda value: {_key(key): to_json(item) for key, item in value.items()},
}


def _key(key: Any) -> str:
    plain = to_json(key)
    return plain if isinstance(plain, str) else str(plain)
