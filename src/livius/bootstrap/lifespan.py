"""The gateway's life: every task of it is owned here, and ends here."""

from __future__ import annotations

import asyncio
import signal

import structlog

from livius.bootstrap.compose import compose
from livius.installation.prepare import Prepared

_log = structlog.get_logger(__name__)


class _Stop(Exception):
    """The orderly end of the task group."""


async def serve(prepared: Prepared, *, keep_drivers: bool) -> None:
    """Serve until SIGTERM or SIGINT.

    ``keep_drivers`` leaves drivers and metastore running for the next start to adopt.
    """
    gateway = await compose(prepared)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            for service in gateway.services:
                group.create_task(gateway.service_runner.keep(service), name=service[0])
            listening = [
                group.create_task(gateway.https.serve(), name="https"),
                group.create_task(gateway.http.serve(), name="http"),
            ]
            await gateway.announce()
            if prepared.settings.launch_numbers is None:
                # It runs Spark as ourselves, which is nothing to have beside others' drivers.
                archive = ("class archive", gateway.archive.run)
                group.create_task(gateway.service_runner.keep(archive), name=archive[0])
            await stop.wait()
            await gateway.end(listening, keep_drivers=keep_drivers)
            raise _Stop  # noqa: TRY301 - a task group ends by an error and by nothing else
    except* _Stop:
        _log.info("gateway_stopped")
    finally:
        prepared.home.connection_file.unlink(missing_ok=True)
        gateway.store.close()
