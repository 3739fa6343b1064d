"""Python's values as JSON can hold them, for whatever a statement gives.

Decimals are text, so that no digit is lost; bytes are base64; structs are objects; NaN and the
infinities are text; what pandas counts as missing is null. pandas and NumPy are not imported:
their values are known by what they can do.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

DEEPEST: Final = 100
"""Values nested deeper than this become a text that says so: readers of JSON have limits too."""

TOO_DEEP: Final = f"[nested deeper than {DEEPEST} levels]"

_LONGEST_INTEGER: Final = 14_000
"""Bits. Python reads and writes no integer that has more than 4300 digits."""

_LONGEST_EXPONENT: Final = 6_144


def to_json(value: Any, depth: int = 1) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, bool | str):
        return value
    if is_missing(value):
        return None
    for kind, convert in _LEAVES.items():
        if isinstance(value, kind):
            return convert(value)
    for container, convert_inner in _CONTAINERS:
        if isinstance(value, container):
            return convert_inner(value, depth + 1) if depth <= DEEPEST else TOO_DEEP
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return _of_numpy(value, depth)
    return _of_variant(value) if _is_variant(value) else str(value)


def is_missing(value: Any) -> bool:
    """Tell whether it is nothing, as None, pandas' NA and NaT are; a NaN is a number."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def of_float(value: float) -> float | str:
    """Return a number, or the name that Spark gives to what is none."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def of_bytes(value: bytes | bytearray) -> str:
    """Return base64."""
    return base64.b64encode(value).decode()


def unique(names: Iterable[str]) -> list[str]:
    """Return names of which none is there twice, ``a`` and ``a_2``: an object has one value each.

    `livius.Frames` does the same.
    """
    taken: dict[str, None] = {}
    for name in names:
        free, count = name, 1
        while free in taken:
            count += 1
            free = f"{name}_{count}"
        taken[free] = None
    return list(taken)


def to_object(names: Iterable[Any], values: Iterable[Any], depth: int = 2) -> dict[str, Any]:
    """Return an object of JSON, with a value for each name."""
    texts = unique(_key_of(to_json(name, depth)) for name in names)
    return {name: to_json(value, depth) for name, value in zip(texts, values, strict=True)}


def _key_of(plain: Any) -> str:
    """Return what stands for a map's key: a text as it is, anything else as JSON."""
    return (
        plain
        if isinstance(plain, str)
        else json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    )


def _of_tuple(value: Any, depth: int) -> Any:
    # A Row is a tuple with names; an unnamed one is an array.
    if names := getattr(value, "__fields__", None):
        return to_object(names, value, depth)
    return _of_items(value, depth)


def _of_items(value: Iterable[Any], depth: int) -> list[Any]:
    return [to_json(item, depth) for item in value]


def _of_decimal(value: decimal.Decimal) -> str:
    """Return all digits, and no exponent unless Spark's decimals could not have it."""
    is_short = not value.is_finite() or abs(value.adjusted()) <= _LONGEST_EXPONENT
    return format(value, "f") if is_short else str(value)


def _of_moment(value: dt.datetime | dt.time) -> str:
    """Return it as Spark prints moments: without zeros at the end of a fraction."""
    plain = value.replace(tzinfo=None)
    text = plain.isoformat(sep=" ") if isinstance(plain, dt.datetime) else plain.isoformat()
    zone = "" if value.tzinfo is None else value.isoformat().removeprefix(plain.isoformat())
    return (text.rstrip("0") if "." in text else text) + zone


def _of_numpy(value: Any, depth: int) -> Any:
    if value.dtype.kind in "mM" and type(value).__module__ == "numpy":
        value = value.astype(f"{value.dtype.kind}8[us]")  # Of nanoseconds, item() is an integer.
    if getattr(value, "ndim", 1):
        return _of_items(value, depth + 1) if depth <= DEEPEST else TOO_DEEP
    if value.dtype.kind == "f" and value.dtype.itemsize != 8:  # noqa: PLR2004 - bytes of a double
        # The shortest number that means the same, as it is printed.
        return of_float(float(str(value)))
    return to_json(value.item(), depth)


def _of_integer(value: int) -> int | str:
    return value if value.bit_length() <= _LONGEST_INTEGER else hex(value)


def _is_variant(value: Any) -> bool:
    return type(value).__name__ == "VariantVal" and type(value).__module__ == "pyspark.sql.types"


def _of_variant(value: Any) -> Any:
    from livius_agent.notebook import repl

    return json.loads(repl().variant(bytes(value.value), bytes(value.metadata)))


_LEAVES: Final[Mapping[type, Callable[[Any], Any]]] = {
    int: _of_integer,
    float: of_float,
    decimal.Decimal: _of_decimal,
    dt.datetime: _of_moment,
    dt.time: _of_moment,
    dt.date: lambda value: value.isoformat(),
    dt.timedelta: str,
    bytes: of_bytes,
    bytearray: of_bytes,
}
_CONTAINERS: Final[tuple[tuple[Any, Callable[[Any, int], Any]], ...]] = (
    (tuple, _of_tuple),
    (list | set | frozenset, _of_items),
    (dict, lambda value, depth: to_object(value.keys(), value.values(), depth)),
)
