"""SQL statements: rows with their schema as JSON (classic Livy's ``application/json``).

Values keep what JSON can hold (`livius_agent.values`). Moments, dates and intervals are text as
Spark itself prints them, in the session's time zone: Spark makes that text, so that neither
Python's calendar, which ends with the year 9999, nor this process's time zone plays a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from livius_agent.answers import Answer, java_stack, message_of
from livius_agent.values import key_of, of_bytes, of_decimal, of_float, to_json

ARROW_FROM: Final = 20_000
"""From this row limit on, rows are fetched as Arrow.

Measured: 100 000 rows of five columns in 0.28 s instead of 0.81 s. But Arrow asks every partition
for rows, where the plain way stops at the first that has enough, so small limits don't use it.
"""

_EMPTY: Final = {"schema": {"type": "struct", "fields": []}, "data": []}
_AS_TEXT: Final = frozenset(
    (
        "DateType",
        "TimestampType",
        "TimestampNTZType",
        "TimeType",
        "DayTimeIntervalType",
        "YearMonthIntervalType",
        "CalendarIntervalType",
    )
)

Convert = Callable[[Any], Any]


def run_sql(spark: Any, code: str, limit: int, say: Callable[[str], None]) -> Answer:
    """Run SQL and return the last statement's rows; at most ``limit``, and it says so."""
    body: dict[str, Any] = dict(_EMPTY)
    pieces = split(spark, code)
    for at, piece in enumerate(pieces):
        try:
            frame = spark.sql(piece)
            fields = frame.schema.fields
            rows = fetch(frame, limit + 1, arrow=limit >= ARROW_FROM) if fields else []
        except KeyboardInterrupt:
            raise
        except Exception as error:  # noqa: BLE001 - the user's SQL may raise anything
            return _error(error, at, len(pieces))
        body = dict(_EMPTY)
        if fields:
            body = {"schema": frame.schema.jsonValue(), "data": rows[:limit]}
        if len(rows) > limit:
            body |= {"truncated": True, "row_limit": limit}
    if "truncated" in body:
        say(f"The first {limit} rows are given; there are more.\n")
    return {"outcome": "ok", "with_text": False, "data": {"application/json": body}}


def last_frame(spark: Any, code: str) -> Any:
    """Run SQL and return the last statement's DataFrame; None if it gives no rows."""
    frame = None
    for piece in split(spark, code):
        frame = spark.sql(piece)
    return frame if frame is not None and frame.schema.fields else None


def _error(error: Exception, at: int, count: int) -> Answer:
    message = message_of(error)
    where = [f"In statement {at + 1} of {count}:\n"] if count > 1 else []
    lines = [*where, *(f"{line}\n" for line in message.splitlines()), *java_stack(error)]
    return {"outcome": "error", "ename": "Error", "evalue": message, "traceback": lines}


def split(spark: Any, code: str) -> list[str]:
    """Return the statements that semicolons separate, by the rules of Spark's own SQL shell."""
    text = code.strip().rstrip(";").strip()
    if ";" in text and not _is_script(text):
        jvm = spark._jvm  # noqa: SLF001 - PySpark has no other way in
        util = jvm.org.apache.spark.sql.catalyst.util.StringUtils
        parts = jvm.scala.jdk.javaapi.CollectionConverters.asJava(
            util.splitSemiColonWithIndex(text, False)  # noqa: FBT003 - its only name is its place
        )
        pieces = [str(part).strip() for part in parts]
    else:
        pieces = [text]
    return [piece for piece in pieces if _without_comments(piece)]


def _is_script(text: str) -> bool:
    """Tell whether it is one of Spark's scripts, whose own semicolons are inside."""
    return _without_comments(text)[:6].upper().rstrip("\t\r\n ;") == "BEGIN"


def _without_comments(text: str) -> str:
    """Return the text from the first thing on that is no comment; hints are no comments."""
    while text := text.lstrip():
        if text.startswith("--"):
            text = text.partition("\n")[2]
        elif text.startswith("/*") and not text.startswith("/*+"):
            text = _after_comment(text)
        else:
            break
    return text


def _after_comment(text: str) -> str:
    depth, at = 0, 0
    while at < len(text):
        pair = text[at : at + 2]
        if pair in ("/*", "*/"):
            depth += 1 if pair == "/*" else -1
            at += 2
            if depth == 0:
                return text[at:]
        else:
            at += 1
    return text  # It does not end: Spark has the words for it.


def fetch(frame: Any, count: int, *, arrow: bool) -> list[list[Any]]:
    """Return a DataFrame's first rows as JSON can hold them."""
    types = [field.dataType for field in frame.schema.fields]
    frame = _with_text(frame, types)
    converts = [converter(kind) for kind in types]
    if arrow and all(map(_suits_arrow, types)):
        try:
            return _fetch_arrow(frame, count, converts)
        except UnicodeDecodeError:
            pass  # Text that is no UTF-8, which only the other way repairs.
    rows = frame.take(count)
    return [_row(row, converts) for row in rows]


def _fetch_arrow(frame: Any, count: int, converts: Sequence[Convert | None]) -> list[list[Any]]:
    # Names may be there twice, which Arrow does not take.
    numbered = frame.toDF(*map(str, range(len(converts)))).limit(count)
    columns = [
        _each(column.to_pylist(), convert)
        for column, convert in zip(numbered.toArrow().columns, converts, strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _row(row: Sequence[Any], converts: Sequence[Convert | None]) -> list[Any]:
    return [
        value if convert is None or value is None else convert(value)
        for value, convert in zip(row, converts, strict=True)
    ]


def _each(values: Iterable[Any], convert: Convert | None) -> list[Any]:
    if convert is None:
        return list(values)
    return [None if value is None else convert(value) for value in values]


def _with_text(frame: Any, types: Sequence[Any]) -> Any:
    """Have Spark turn into text what only Spark prints rightly."""
    targets = [_target(kind) for kind in types]
    if all(target is None for target in targets):
        return frame
    from pyspark.sql.functions import col

    names = [f"_{at}" for at in range(len(types))]
    return frame.toDF(*names).select(
        *(
            col(name) if target is None else col(name).cast(target)
            for name, target in zip(names, targets, strict=True)
        )
    )


def _target(kind: Any) -> Any:  # noqa: PLR0911 - one for each shape
    """Return the type with text in the place of moments and the like; None if it has none."""
    from pyspark.sql import types

    if type(kind).__name__ in _AS_TEXT:
        return types.StringType()
    if isinstance(kind, types.ArrayType):
        inner = _target(kind.elementType)
        return inner and types.ArrayType(inner, kind.containsNull)
    if isinstance(kind, types.MapType):
        key, value = _target(kind.keyType), _target(kind.valueType)
        if key is None and value is None:
            return None
        return types.MapType(key or kind.keyType, value or kind.valueType, kind.valueContainsNull)
    if isinstance(kind, types.StructType):
        inner = [_target(field.dataType) for field in kind.fields]
        if all(one is None for one in inner):
            return None
        return types.StructType(
            [
                types.StructField(field.name, one or field.dataType, field.nullable)
                for field, one in zip(kind.fields, inner, strict=True)
            ]
        )
    return None


_PLAIN: Final = frozenset(
    (
        "BooleanType",
        "ByteType",
        "ShortType",
        "IntegerType",
        "LongType",
        "StringType",
        "CharType",
        "VarcharType",
        *_AS_TEXT,
    )
)
_LEAVES: Final[dict[str, Convert]] = {
    "DoubleType": of_float,
    "DecimalType": of_decimal,
    "BinaryType": of_bytes,
}


def converter(kind: Any) -> Convert | None:  # noqa: PLR0911 - one for each shape
    """Return what makes a value of a Spark type plain; None where it is plain already."""
    from pyspark.sql import types

    name = type(kind).__name__
    if name in _PLAIN:
        return None
    if name in _LEAVES:
        return _LEAVES[name]
    if isinstance(kind, types.FloatType):
        return _of_single
    if isinstance(kind, types.ArrayType):
        element = converter(kind.elementType)
        return lambda value: _each(value, element)
    if isinstance(kind, types.MapType):
        key, item = converter(kind.keyType), converter(kind.valueType)
        return lambda value: _of_map(value, key, item)
    if isinstance(kind, types.StructType):
        names = kind.names
        inner = [converter(field.dataType) for field in kind.fields]
        return lambda value: dict(zip(names, _row(value, inner), strict=True))
    return to_json


def _of_single(value: float) -> Any:
    """Return the shortest number that means the same in four bytes, as Spark prints it."""
    import numpy as np

    plain = of_float(value)
    return plain if isinstance(plain, str) else float(str(np.float32(value)))


def _of_map(value: Mapping[Any, Any], key: Convert | None, item: Convert | None) -> dict[str, Any]:
    names = [key_of(name) for name in _each(value.keys(), key)]
    return dict(zip(names, _each(value.values(), item), strict=True))


def _suits_arrow(kind: Any) -> bool:
    # PySpark's conversion to Arrow refuses some structs: one without nulls in an array with them.
    kind = getattr(kind, "elementType", kind)
    name = type(kind).__name__
    return name in _PLAIN or name in _LEAVES or name == "FloatType"
