"""``livius serve``."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import sys
from typing import Final

import structlog

from livius.cli.console import fail, settings
from livius.installation.home import AlreadyServing
from livius.installation.prepare import prepared
from livius.installation.progress import SetupFailed

_M_MMAP_THRESHOLD: Final = -3


def serve(*, keep_drivers: bool) -> int:
    """Serve until SIGTERM or SIGINT."""
    import uvloop

    from livius.adapters.store import SchemaMismatch
    from livius.bootstrap import serve as run

    chosen = settings()
    _return_freed_memory()
    _log_to_stderr(chosen.log_level)
    try:
        ready = prepared(chosen)
        with ready.home.lock(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(ready, keep_drivers=keep_drivers))
    except AlreadyServing:
        return fail(f"A gateway serves {chosen.home} already. See: livius status")
    except (SetupFailed, SchemaMismatch) as error:
        return fail(str(error))
    return 0


def _return_freed_memory() -> None:
    """Have large pieces of memory go back to the system once freed.

    Else the C library keeps what it has seen freed once, such as the 16 MB that checking a client
    secret takes for a moment.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and need of none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)


def _log_to_stderr(level: str) -> None:
    """Log lines as JSON, to be read by machines; people have `livius logs`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
