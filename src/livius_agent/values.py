"""Values as JSON can hold them, for whatever a statement gives.

Decimals are text, so that no digit is lost; bytes are base64; structs are objects; NaN and the
infinities are text. Standard library only: pandas and NumPy values are known by what they can do.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final


def to_json(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return of_float(value)
    for kind, convert in _CONVERTERS.items():
        if isinstance(value, kind):
            return convert(value)
    if hasattr(value, "toJson"):  # Spark's variant
        return json.loads(value.toJson())
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return to_json(value.tolist())
    return str(value)


def of_float(value: float) -> float | str:
    """Return a number, or the name that Spark gives to what is none."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def of_decimal(value: decimal.Decimal) -> str:
    """Return all digits, and never an exponent: a zero with a scale would have one."""
    return format(value, "f")


def of_bytes(value: bytes | bytearray) -> str:
    """Return base64."""
    return base64.b64encode(value).decode()


def key_of(plain: Any) -> str:
    """Return what stands for a map's key in an object: a key that is no text as JSON writes it."""
    return plain if isinstance(plain, str) else json.dumps(plain)


def _of_tuple(value: Any) -> Any:
    # A Row is a tuple with names; an unnamed one is an array.
    if names := getattr(value, "__fields__", None):
        return {name: to_json(item) for name, item in zip(names, value, strict=True)}
    return [to_json(item) for item in value]


_CONVERTERS: Final[Mapping[type, Callable[[Any], Any]]] = {
    decimal.Decimal: of_decimal,
    dt.datetime: lambda value: value.isoformat(sep=" "),
    dt.date: lambda value: value.isoformat(),
    dt.timedelta: str,
    bytes: of_bytes,
    bytearray: of_bytes,
    tuple: _of_tuple,
    list: lambda value: [to_json(item) for item in value],
    dict: lambda value: {key_of(to_json(key)): to_json(item) for key, item in value.items()},
}
