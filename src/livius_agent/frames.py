"""What statements give of a Spark DataFrame. The JVM makes it (`Frames.scala`), in one run.

So values have the text that Spark itself prints, and neither Python's calendar, which ends with the
year 9999, nor this process's time zone plays a part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from livius_agent.answers import ANSWER_LIMIT
from livius_agent.notebook import repl

_ENOUGH: Final = 2 * ANSWER_LIMIT
"""Bytes, after which no further rows are read: an answer has no room for so many, and says so."""


_MOST: Final = 2**31 - 2
"""Spark counts rows in four bytes, and is asked for one more than these."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The first rows, each as JSON, and whether there are more."""

    rows: list[msgspec.Raw]
    more: bool
    _pieces: Any

    @property
    def headers(self) -> list[dict[str, str]]:
        """Names and types as in classic Livy's table."""
        made: list[dict[str, str]] = json.loads(self._pieces.headers())
        return made

    @property
    def values(self) -> list[list[Any]]:
        """The rows' values."""
        return [json.loads(bytes(row)) for row in self.rows]

    @property
    def note(self) -> str | None:
        """A line of text that says that there are more; None if there are not."""
        count = len(self.rows)
        return f"The first {count} rows are given; there are more.\n" if self.more else None


def is_frame(value: Any) -> bool:
    """Tell whether it is a Spark DataFrame."""
    return hasattr(value, "_jdf") and hasattr(value, "isStreaming")


class _Piece(msgspec.Struct):
    rows: list[msgspec.Raw]
    last: bool
    more: bool


def rows_of(frame: Any, most: int) -> Rows:
    """Run a DataFrame and return its first rows. Values are not parsed: there may be millions."""
    pieces = repl().rows(frame._jdf, min(most, _MOST))  # noqa: SLF001 - its JVM side
    rows: list[msgspec.Raw] = []
    length = 0
    while True:
        data = pieces.next().encode()
        piece = msgspec.json.decode(data, type=_Piece)
        rows += piece.rows
        length += len(data)
        if piece.last or length > _ENOUGH:
            return Rows(rows, piece.more, pieces)


def schema_of(frame: Any) -> dict[str, Any]:
    """Return a DataFrame's schema, as the JVM writes it: Python lacks some of Spark 3.5's types."""
    made: dict[str, Any] = json.loads(frame._jdf.schema().json())  # noqa: SLF001 - its JVM side
    return made


def table_of(frame: Any) -> dict[str, Any]:
    """Run a DataFrame and return its first rows as a bundle, which says so when it cuts."""
    text, html = repl().table(frame._jdf)  # noqa: SLF001 - its JVM side
    return {"text/html": html, "text/plain": text}


def summary_of(frame: Any) -> Any:
    """Return a DataFrame with a row for each column of a DataFrame: missing values and the like."""
    from pyspark.sql import DataFrame

    return DataFrame(repl().summary(frame._jdf), frame.sparkSession)  # noqa: SLF001 - its JVM side
