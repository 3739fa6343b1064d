"""SQL statements: rows with their schema as JSON (classic Livy's ``application/json``).

The JVM writes the values (`livius_agent.frames`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from livius_agent.answers import Answer, message_of
from livius_agent.frames import Rows, rows_of

_EMPTY: Final = {"schema": {"type": "struct", "fields": []}, "data": []}


def run_sql(spark: Any, code: str, limit: int, say: Callable[[str], None]) -> Answer:
    """Run SQL and return the last statement's rows; at most ``limit``, and it says so."""
    body: dict[str, Any] = _EMPTY
    found: Rows | None = None
    pieces = split(spark, code)
    for at, piece in enumerate(pieces):
        try:
            frame = spark.sql(piece)
            schema = frame.schema
            found = rows_of(frame, limit) if schema.fields else None
        except KeyboardInterrupt:
            raise
        except Exception as error:  # noqa: BLE001 - the user's SQL may raise anything
            return _error(message_of(error), at, len(pieces))
        body = _EMPTY
        if found is not None:
            body = {"schema": schema.jsonValue(), "data": found.rows}
            if found.more:
                body |= {"truncated": True, "row_limit": limit}
    if found is not None and found.note:
        say(found.note)
    return {"outcome": "ok", "with_text": False, "data": {"application/json": dict(body)}}


def last_frame(spark: Any, code: str) -> Any:
    """Run SQL and return the last statement's DataFrame; None if it gives no rows."""
    frame = None
    for piece in split(spark, code):
        frame = spark.sql(piece)
    return frame if frame is not None and frame.schema.fields else None


def _error(message: str, at: int, count: int) -> Answer:
    where = [f"In statement {at + 1} of {count}:\n"] if count > 1 else []
    lines = [f"{line}\n" for line in message.splitlines()]
    return {"outcome": "error", "ename": "Error", "evalue": message, "traceback": where + lines}


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
