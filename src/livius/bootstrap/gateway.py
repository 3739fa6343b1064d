"""A composed gateway: its parts, the report that it serves, and its shutdown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from livius.adapters.capacity import MachineCapacity
from livius.adapters.listener import Server
from livius.adapters.local.archives import ClassArchives
from livius.adapters.local.metastore import LocalMetastore
from livius.adapters.notifications import LocalNotifications
from livius.adapters.store import SqlStore
from livius.domain.driver import Driver, Phase
from livius.domain.ids import DriverId
from livius.domain.session import EndCause
from livius.installation.home import Connection
from livius.installation.prepare import Prepared
from livius.reconcile.services import Service, ServiceRunner
from livius.reconcile.workqueue import WorkQueue
from livius.usecases.audit_throttle import AuditThrottle

_DRIVERS_END_WITHIN: Final = 12.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The parts that run, and their shutdown."""

    prepared: Prepared
    store: SqlStore
    queue: WorkQueue[DriverId]
    service_runner: ServiceRunner
    services: Sequence[Service]
    capacity: MachineCapacity
    metastore: LocalMetastore
    archives: ClassArchives
    https: Server
    http: Server
    notifications: LocalNotifications
    throttle: AuditThrottle
    connection: Connection

    async def announce(self) -> None:
        """Report that the gateway serves."""
        while not (self.https.started and self.http.started):
            await asyncio.sleep(0.01)
        self.prepared.home.write_connection(self.connection)
        _log.info("gateway_serving", api=self.connection.api, http=self.connection.http)

    async def end(self, listening: Iterable[asyncio.Task[None]], *, keep_drivers: bool) -> None:
        """End everything that we started, answer open requests, and record the shutdown.

        ``listening`` are the tasks of both listeners. Their last responses need the store.
        """
        drivers, metastore = 0, False
        if not keep_drivers:
            drivers = await self._end_drivers()
            metastore = await self.metastore.end()
        self.notifications.close()
        for server in (self.https, self.http):
            server.should_exit = True
        await asyncio.wait(listening)
        await self.throttle.settle(everything=True)
        self.prepared.home.last_shutdown_file.write_text(
            json.dumps({"pid": self.connection.pid, "drivers": drivers, "metastore": metastore}),
            encoding="utf-8",
        )

    async def _end_drivers(self) -> int:
        """Request the end of every driver, and wait; return how many had run for a session."""
        self.capacity.close()
        requested: set[DriverId] = set()
        served = 0
        try:
            async with asyncio.timeout(_DRIVERS_END_WITHIN):
                # Read again each time: a session may just have been admitted when we closed.
                while live := await self.store.live_drivers():
                    for driver in live:
                        if driver.id not in requested:
                            await self._request_end(driver)
                            requested.add(driver.id)
                            served += (
                                driver.session is not None and driver.phase is not Phase.QUEUED
                            )
                    await asyncio.sleep(0.05)
        except TimeoutError:
            _log.warning("drivers_still_ending", left=len(await self.store.live_drivers()))
        return served

    async def _request_end(self, driver: Driver) -> None:
        if driver.session is None and not await self.store.end_pooled(driver.id):
            driver = await self.store.driver(driver.id) or driver  # claimed in this moment
        if driver.session is not None:
            await self.store.request_stop(
                driver.session,
                end_cause=EndCause.GATEWAY_SHUTDOWN,
                end_reason="The gateway was shut down.",
            )
        self.queue.wake(driver.id)
