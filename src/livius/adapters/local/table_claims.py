"""Which tables the gateway changes now: a load and a deletion never work on the same one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livius.domain.errors import Conflict
from livius.domain.messages import Message


class TableClaims:
    """Tables by their folders. It is for one event loop."""

    def __init__(self) -> None:
        self._claimed: set[Path] = set()

    @contextmanager
    def claim(self, table: Path) -> Iterator[None]:
        """Have a table alone.

        Raises:
            Conflict: another change has it.
        """
        if table in self._claimed:
            raise Conflict(
                "TableBusy",
                Message(
                    "A load or a deletion of the table %(table)s runs now. Try again when it has "
                    "ended.",
                    table=table.name,
                ),
            )
        self._claimed.add(table)
        try:
            yield
        finally:
            self._claimed.discard(table)
