"""The metastore, as far as the gateway itself uses it: views, and what loads and deletions do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from livius.domain.contents import View
from livius.domain.lakehouse import Lakehouse, LakehouseTable


class Metastore(Protocol):
    """Asks the metastore of the drivers, without one of them.

    All methods raise Unavailable if it does not answer in time, or answers no gateway.
    """

    async def views(self, lakehouse: Lakehouse) -> Sequence[str]:
        """Return the names of a lakehouse's views as SQL has them, in order."""
        ...

    async def view(self, lakehouse: Lakehouse, name: str) -> View:
        """Return a view.

        Raises:
            NotFound: there is none of the name.
        """
        ...

    async def register(self, lakehouse: Lakehouse, table: LakehouseTable) -> None:
        """Register a Delta table whose folder is there, unless something has its name.

        The metastore finds such tables by itself, but only some time after their last commit.
        """
        ...

    async def forget(self, lakehouse: Lakehouse, table: LakehouseTable) -> None:
        """Remove what the metastore has of a table in its folder, and leave its files alone."""
        ...
