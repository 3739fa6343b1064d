"""The code that `livius lakehouse load` runs in a session.

This file's text is the statement. It uses the standard library and Spark only: a session has no
other module of Livius.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_ANSI = "spark.sql.ansi.enabled"
_NOT_DELTAS = re.compile(r"[\s,;{}()=]+")


class Refused(Exception):
    """The load can't be done; the message is for people."""


def load(spark: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """Load files into a Delta table; return a summary.

    ``wanted`` has path, format, options (of the reader), table and mode.
    """
    table, mode = wanted["table"], wanted["mode"]
    exists = spark.catalog.tableExists(table)
    if exists and mode == "error":
        raise Refused(
            f"There is a table {table} already. Add to it with --mode append, replace it with "
            "--mode overwrite, or choose another name with --table."
        )
    frame = spark.read.format(wanted["format"]).options(**wanted["options"]).load(wanted["path"])
    if not frame.columns:
        raise Refused("There are no columns in it: it is empty, or of another format.")
    if wanted["format"] == "csv":
        _check_delimiter(frame.columns)
    frame, renamed = _with_delta_names(frame)
    if exists and mode == "append":
        frame = _like(spark, frame, table)
    writer = frame.write.format("delta").mode(mode)
    if mode == "overwrite":
        writer = writer.option("overwriteSchema", "true")
    database = spark.catalog.getDatabase(spark.catalog.currentDatabase())
    folder = Path(unquote(urlsplit(database.locationUri).path), table)
    was_there = folder.exists()
    try:
        writer.saveAsTable(table)
    except BaseException:
        # Without a commit it is no table, and would block the next attempt.
        if not was_there and not list(folder.glob("_delta_log/[0-9]*")):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    last = spark.sql(f"DESCRIBE HISTORY `{table}` LIMIT 1").first()
    return {
        "rows": int((last.operationMetrics or {}).get("numOutputRows", 0)),
        "total": spark.table(table).count(),
        "columns": [f"{name} {kind}" for name, kind in spark.table(table).dtypes],
        "renamed": renamed,
    }


def delta_names(names: Sequence[str]) -> list[str]:
    """Return names that Delta takes, one for each: what it can't have becomes an underscore.

    As with Fabric's own load, so that a table here has the columns that it has there. If two would
    be the same in any case, the second gets a number.
    """
    found: list[str] = []
    taken: set[str] = set()
    for position, name in enumerate(names):
        plain = _NOT_DELTAS.sub("_", name.strip()).strip("_") if _NOT_DELTAS.search(name) else name
        plain = plain or f"column_{position + 1}"
        unique, number = plain, 1
        while unique.lower() in taken:
            number += 1
            unique = f"{plain}_{number}"
        taken.add(unique.lower())
        found.append(unique)
    return found


def _with_delta_names(frame: Any) -> tuple[Any, dict[str, str]]:
    """Return the frame with names that Delta takes, inside of structs too, and what changed."""
    old, new = list(frame.columns), delta_names(frame.columns)
    # Not by their names: two may have the same one.
    safe = frame.toDF(*(f"c{number}" for number in range(len(old))))
    columns = []
    for field, name in zip(safe.schema.fields, new, strict=True):
        plain = _plain_type(field.dataType)
        column = safe[field.name]
        columns.append((column if plain == field.dataType else column.cast(plain)).alias(name))
    renamed = {was: now for was, now in zip(old, new, strict=True) if was != now}
    return safe.select(*columns), renamed


def _plain_type(kind: Any) -> Any:
    """Return a type whose fields have names that Delta takes, and no column without a type."""
    from pyspark.sql import types

    if isinstance(kind, types.NullType):
        return types.StringType()
    if isinstance(kind, types.ArrayType):
        return types.ArrayType(_plain_type(kind.elementType), kind.containsNull)
    if isinstance(kind, types.MapType):
        return types.MapType(
            _plain_type(kind.keyType), _plain_type(kind.valueType), kind.valueContainsNull
        )
    if isinstance(kind, types.StructType):
        names = delta_names(kind.names)
        return types.StructType(
            [
                types.StructField(name, _plain_type(field.dataType), field.nullable)
                for name, field in zip(names, kind.fields, strict=True)
            ]
        )
    return kind


def _check_delimiter(columns: Sequence[str]) -> None:
    """Refuse a file whose lines were not split, because they have another delimiter."""
    others = [mark for mark in ";\t|" if mark in columns[0]]
    if len(columns) == 1 and others:
        raise Refused(
            f"It has a single column, called {columns[0][:60]!r}. If {others[0]!r} stands between "
            f"its values, say so with --delimiter {others[0]!r}."
        )


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _like(spark: Any, frame: Any, table: str) -> Any:
    """Return the frame in the columns of a table that it is added to."""
    present = spark.table(table)
    ours = {name.lower(): name for name in frame.columns}
    theirs = {name.lower(): name for name in present.columns}
    missing = [theirs[name] for name in theirs if name not in ours]
    extra = [ours[name] for name in ours if name not in theirs]
    if missing or extra:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has {', '.join(extra)} besides"] if extra else []
        raise Refused(
            f"Its columns are not those of the table {table}: it {' and '.join(parts)}. Replace "
            "the table with --mode overwrite, or load into another with --table."
        )
    # Else Spark 3.5 makes null of a text that is no number.
    was = spark.conf.get(_ANSI)
    spark.conf.set(_ANSI, "true")
    try:
        return frame.select(
            *(
                frame[_quoted(ours[field.name.lower()])].cast(field.dataType).alias(field.name)
                for field in present.schema.fields
            )
        )
    finally:
        spark.conf.set(_ANSI, was)
