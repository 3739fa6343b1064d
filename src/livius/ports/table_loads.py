"""Loading files of a lakehouse into a table of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from livius.domain.lakehouse import Lakehouse
from livius.domain.table_load import TableLoad

Progress = Callable[[int], Awaitable[None]]


class TableLoads(Protocol):
    """Does the work of loads."""

    async def load(
        self,
        lakehouse: Lakehouse,
        load: TableLoad,
        progress: Progress,
        register: Callable[[], Awaitable[None]],
    ) -> None:
        """Load files into a table: in one commit, or not at all, also if this is cancelled.

        ``register`` makes the metastore know the table. It is called after the commit, while the
        table is there and nobody may delete it.

        Raises:
            Invalid: the files or the table can't be used; the message has the reason.
            Unavailable: this server can't load them.
        """
        ...
