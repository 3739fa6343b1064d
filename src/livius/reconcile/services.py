"""Services that run as long as the gateway does. An error of one is never the others' end.

A service that fails is logged and started again after a pause, which grows while it keeps failing.
One that returns has done its work. Which of them fail now is there for readiness and metrics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

Service = tuple[str, Callable[[], Coroutine[Any, Any, None]]]
"""A name, and what runs."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_STEADY_AFTER: Final = 10.0

_log = structlog.get_logger(__name__)


class ServiceRunner:
    """Runs services; the tests choose other times.

    A service counts as failing from its error on until it has run for ``steady`` seconds. At each
    error ``failed`` is called with its name.
    """

    def __init__(
        self,
        failed: Callable[[str], None] = lambda _name: None,
        *,
        pause: float = _FIRST_PAUSE,
        steady: float = _STEADY_AFTER,
    ) -> None:
        self._failed = failed
        self._pause = pause
        self._steady = steady
        self._failing: set[str] = set()

    @property
    def failing(self) -> Sequence[str]:
        """Return the names of the services that fail now."""
        return sorted(self._failing)

    async def keep(self, service: Service) -> None:
        """Run a service, again and again if need be, until it returns or this is cancelled."""
        name, run = service
        loop = asyncio.get_running_loop()
        pause = self._pause
        while True:
            began = loop.time()
            steady = loop.call_later(self._steady, self._failing.discard, name)
            try:
                await run()
            except Exception:  # noqa: BLE001 - the outermost frame of a service: log, go on
                if loop.time() - began >= self._steady:
                    pause = self._pause
                self._failing.add(name)
                self._failed(name)
                _log.exception("service_failed", service=name, again_in=pause)
            else:
                self._failing.discard(name)
                return
            finally:
                steady.cancel()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
