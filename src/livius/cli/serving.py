"""``livius serve``."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from functools import partial
from typing import Any, Final

import structlog
from structlog.typing import Processor

from livius.cli.console import err, fail, settings
from livius.cli.self_check import run_beside
from livius.installation.home import AlreadyServing, Home, Ports
from livius.installation.prepare import prepared
from livius.installation.progress import SetupFailed
from livius.settings import Settings

ALREADY_SERVING: Final = 4
"""The exit code of a start that was refused because a gateway runs already."""
_M_MMAP_THRESHOLD: Final = -3


def serve(*, keep_drivers: bool, first_run: bool) -> int:
    """Serve until SIGTERM or SIGINT."""
    import uvloop

    from livius.adapters.store import SchemaMismatch
    from livius.bootstrap import serve as run

    chosen = settings()
    _return_freed_memory()
    _log_to_stderr(chosen.log_level, chosen.log_format)
    home = Home(chosen.home)
    try:
        home.create(passable=chosen.launch_numbers is not None)
        with home.lock():  # first of all: the following is only for the one gateway
            before, ready = home.kept_ports(), prepared(chosen)
            for text in changed_ports(chosen, before, ready.ports):
                err.print(text, markup=False)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                check = partial(run_beside, home, os.getpid()) if first_run else None
                runner.run(run(ready, keep_drivers=keep_drivers, first_run=check))
    except AlreadyServing as error:
        fail(f"A gateway serves {chosen.home} already ({error}). See: livius status")
        return ALREADY_SERVING
    except (SetupFailed, SchemaMismatch) as error:
        return fail(str(error))
    except KeyboardInterrupt:  # before there is anything to shut down
        return 130
    return 0


def changed_ports(chosen: Settings, before: Ports | None, now: Ports) -> Iterator[str]:
    """Name the ports that differ from the wanted ones, with the reason."""
    for name, kept, wanted, port in (
        ("LIVIUS_PORT", before and before.https, chosen.port, now.https),
        ("LIVIUS_HTTP_PORT", before and before.http, chosen.http_port, now.http),
    ):
        if kept and port != kept:
            yield f"Port {kept} is taken by another program. Port {port} is used from now on."
        elif not kept and wanted not in (0, port):
            yield f"Port {wanted} ({name}) is taken by another program. Port {port} is used."
        elif kept and wanted not in (0, port) and name.lower()[7:] in chosen.model_fields_set:
            yield (
                f"{name} is {wanted}, but this installation keeps port {port}, so that addresses "
                f"stay valid. To change it: livius down, delete {chosen.home}/ports.json, and "
                "start again."
            )


def _return_freed_memory() -> None:
    """Return large pieces of memory to the system once freed.

    Else the C library keeps them, such as the 16 MB that the check of a password takes for a
    moment.
    """
    mallopt = getattr(
        ctypes.CDLL(None), "mallopt", None
    )  # musl doesn't have it, and doesn't need it
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)


def _log_to_stderr(level: str, form: str) -> None:
    """Log lines as JSON for machines, or as text for people. Each has its request's id."""
    from livius.api.middleware import request_id

    def add_request_id(
        _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if identity := request_id():
            event["request_id"] = identity
        return event

    render: tuple[Processor, ...] = (
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    )
    if form == "console":
        render = (structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),)
    structlog.configure(
        processors=[
            add_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
