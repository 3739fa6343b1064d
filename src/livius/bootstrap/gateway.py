"""A gateway as it was composed: what it is made of, how it says that it serves, how it ends."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Final

import structlog

from livius import portal
from livius.adapters.archives import ClassArchive
from livius.adapters.changes import LocalChanges
from livius.adapters.metastore import LocalMetastore
from livius.adapters.metrics import Metrics
from livius.adapters.store import SqlStore
from livius.bootstrap.listeners import Server
from livius.bootstrap.trust import Services
from livius.domain.ids import (
    SessionId,
)
from livius.domain.session import EndCause
from livius.installation.home import Connection
from livius.installation.prepare import Prepared
from livius.reconcile.loops import Housekeeping
from livius.reconcile.workqueue import WorkQueue
from livius.usecases.trail import Trail

_SESSIONS_END_WITHIN: Final = 12.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What has to be run, told and ended."""

    prepared: Prepared
    store: SqlStore
    queue: WorkQueue[SessionId]
    housekeeping: Housekeeping
    metastore: LocalMetastore
    archive: ClassArchive
    https: Server
    http: Server
    changes: LocalChanges
    trail: Trail
    metrics: Metrics
    streams: portal.Streams
    services: Services
    connection: Connection

    async def announce(self) -> None:
        """Say that we serve, once we do."""
        while not (self.https.started and self.http.started):
            await asyncio.sleep(0.01)
        self.prepared.home.write_connection(self.connection)
        _log.info("gateway_serving", api=self.connection.api, http=self.connection.http)

    async def end(self, *, keep_drivers: bool) -> None:
        """End what we started, and write down what that was."""
        drivers, metastore = 0, False
        if not keep_drivers:
            drivers = await self._end_sessions()
            metastore = await self.metastore.end()
        self.streams.close()
        self.changes.close()
        await self.trail.settle(everything=True)
        for server in (self.https, self.http):
            server.should_exit = True
        self.prepared.home.last_shutdown_file.write_text(
            json.dumps({"drivers": drivers, "metastore": metastore}), encoding="utf-8"
        )

    async def _end_sessions(self) -> int:
        """Want every session ended and wait until all are; return how many there were."""
        live = await self.store.live_sessions()
        for key in live:
            await self.store.want_stop(
                key,
                end_cause=EndCause.GATEWAY_SHUTDOWN,
                end_reason="The gateway was shut down.",
            )
            self.queue.wake(key)
        try:
            async with asyncio.timeout(_SESSIONS_END_WITHIN):
                while await self.store.live_sessions():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            _log.warning("sessions_still_ending", left=len(await self.store.live_sessions()))
        return len(live)
