"""SQL statements: rows with their schema as JSON (classic Livy's ``application/json``).

The JVM writes the values (`livius_agent.frames`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from livius_agent.answers import Answer, java_stack, message_of, rows_body
from livius_agent.frames import Rows, rows_of, schema_of
from livius_agent.notebook import repl

_EMPTY: Final = {"type": "struct", "fields": []}


def run_sql(spark: Any, code: str, limit: int, say: Callable[[str], None]) -> Answer:
    """Run SQL and return the last statement's rows; at most ``limit``, and it says so."""
    script = Script(spark, code)
    body = rows_body(_EMPTY, [])
    found: Rows | None = None
    try:
        frame = script.run(limit)
        if frame is not None and (schema := schema_of(frame))["fields"]:
            found = rows_of(frame, limit)
            body = rows_body(schema, found.rows)
    except KeyboardInterrupt:
        raise
    except Exception as error:  # noqa: BLE001 - the user's SQL may raise anything
        return _error(error, script.where())
    if found is not None:
        if found.more:
            body |= {"truncated": True, "row_limit": limit}
        if found.note:
            say(found.note)
    return {"outcome": "ok", "with_text": False, "data": {"application/json": body}}


def last_frame(spark: Any, code: str, limit: int) -> Any:
    """Run SQL and return the last statement's DataFrame; None if it gives no rows."""
    frame = Script(spark, code).run(limit)
    return frame if frame is not None and schema_of(frame)["fields"] else None


def _error(error: Exception, where: str) -> Answer:
    message = message_of(error)
    text = [f"{line}\n" for line in (where + message).splitlines()]
    lines = [*text, *java_stack(error)]
    return {"outcome": "error", "ename": "Error", "evalue": message, "traceback": lines}


class Script:
    """The statements of a text. The JVM cuts each off when the one before it has run."""

    def __init__(self, spark: Any, code: str) -> None:
        self._spark = spark
        self._rest = repl().script(code)
        self._cut, self._number, self._line = 0, 0, 1

    def run(self, rows: int) -> Any:
        """Run all and return the last one's DataFrame, whose rows are yet to be computed.

        Of a query before it, the first ``rows`` are computed: it may fail, and nobody sees them.
        """
        frame = None
        while (statement := self._rest.next()) is not None:
            self._cut += 1
            if frame is not None:
                self._rest.finish(frame._jdf, rows)  # noqa: SLF001 - its JVM side
            line, _, text = statement.partition("\n")
            self._number, self._line = self._cut, int(line)
            frame = self._spark.sql(text)
        return frame

    def where(self) -> str:
        """Return which of several statements was the last to run; nothing if it is alone."""
        count = self._cut + sum(1 for _ in iter(self._rest.next, None))
        return (
            f"In statement {self._number} of {count}, at line {self._line}:\n" if count > 1 else ""
        )
