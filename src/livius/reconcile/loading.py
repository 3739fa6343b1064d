"""The work of a load: files of a lakehouse become rows of a table, in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from livius.domain.errors import NotFound, Unavailable
from livius.domain.ids import LakehouseId
from livius.domain.lakehouse import Lakehouse, LakehouseTable
from livius.domain.operation import Operation
from livius.domain.table_load import load_of
from livius.ports.capacity import Capacity
from livius.ports.metastore import Metastore
from livius.ports.store import Store
from livius.ports.table_loads import TableLoads
from livius.reconcile.operations import Progress, Result, Runner

_log = structlog.get_logger(__name__)

_DEADLINE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Runs loads of tables, one at a time."""

    store: Store
    loads: TableLoads
    metastore: Metastore
    capacity: Capacity

    def runner(self) -> Runner:
        """Return the runner of these operations. One that was interrupted is not repeated."""
        return Runner(run=self.run, deadline=_DEADLINE)

    async def run(self, operation: Operation, progress: Progress) -> Result:
        """Load the files.

        Raises:
            LiviusError: the message has the reason. The table is as it was.
        """
        self.capacity.check_disk()
        lakehouse = await self.store.lakehouse(LakehouseId(operation.item))
        if lakehouse is None:
            raise NotFound("ItemNotFound", "The lakehouse was deleted.")
        load = load_of(operation.request)
        register = partial(self._register, lakehouse, load.table_in(lakehouse))
        await self.loads.load(lakehouse, load, progress, register)
        return None

    async def _register(self, lakehouse: Lakehouse, table: LakehouseTable) -> None:
        try:
            await self.metastore.register(lakehouse, table)
        except Unavailable as error:
            # The rows are there, and the metastore will find them by itself.
            _log.warning("table_not_registered", table=table.name, reason=error.message)
