"""The gateway's life: every task of it is owned here, and ends here."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from livius.bootstrap.compose import compose
from livius.installation.prepare import Prepared

_log = structlog.get_logger(__name__)


class _Stop(Exception):
    """The orderly end of the task group."""


async def serve(
    prepared: Prepared,
    *,
    keep_drivers: bool,
    first_run: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    ``keep_drivers`` leaves drivers and metastore running for the next start to adopt.
    ``first_run`` is called once the gateway serves, and cancelled before anything else ends.
    """
    gateway = await compose(prepared, first_run=first_run is not None)
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
                # It runs Spark as the gateway's user, which must not happen beside others' drivers.
                archives = ("class archives", gateway.archives.run)
                group.create_task(gateway.service_runner.keep(archives), name=archives[0])
            beside = None
            if first_run is not None:
                beside = group.create_task(first_run(), name="first run")
            await stop.wait()
            if beside is not None:
                beside.cancel()
                await asyncio.wait([beside])
            await gateway.end(listening, keep_drivers=keep_drivers)
            raise _Stop  # noqa: TRY301 - a task group ends by an error and by nothing else
    except* _Stop:
        _log.info("gateway_stopped")
    finally:
        prepared.home.connection_file.unlink(missing_ok=True)
        gateway.store.close()
