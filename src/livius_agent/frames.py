"""What statements give of a Spark DataFrame. The JVM makes it (`Frames.scala`), in one run.

So values have the text that Spark itself prints, and neither Python's calendar, which ends with the
year 9999, nor this process's time zone plays a part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from livius_agent.answers import ANSWER_LIMIT
from livius_agent.notebook import repl


@dataclass(frozen=True, slots=True)
class Rows:
    """The first rows. ``headers`` are those of classic Livy's table."""

    headers: list[dict[str, str]]
    rows: list[list[Any]]
    more: bool
    cut: bool

    @property
    def note(self) -> str | None:
        """What is left out, as a line of text; None if nothing is."""
        first = f"The first {len(self.rows)} rows are given"
        if self.cut:
            return f"{first}: more would have over {ANSWER_LIMIT} bytes.\n"
        return f"{first}; there are more.\n" if self.more else None


def is_frame(value: Any) -> bool:
    """Tell whether it is a Spark DataFrame."""
    return hasattr(value, "_jdf") and hasattr(value, "isStreaming")


def rows_of(frame: Any, most: int) -> Rows:
    """Run a DataFrame and return its first rows as JSON can hold them."""
    return Rows(**json.loads(repl().rows(frame._jdf, most, ANSWER_LIMIT)))  # noqa: SLF001 - its JVM side


def table_of(frame: Any) -> dict[str, Any]:
    """Run a DataFrame and return its first rows as a bundle, which says so when it cuts."""
    text, html = repl().table(frame._jdf)  # noqa: SLF001 - its JVM side
    return {"text/html": html, "text/plain": text}


def summary_of(frame: Any) -> Any:
    """Return a DataFrame with a row for each column of a DataFrame: missing values and the like."""
    from pyspark.sql import DataFrame

    return DataFrame(repl().summary(frame._jdf), frame.sparkSession)  # noqa: SLF001 - its JVM side
