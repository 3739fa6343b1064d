"""Names for a place in code: the gateway's side of what drivers propose.

A proposal is worth nothing later, so nothing is stored or sent again. A caller gets no names where
the driver is away, busy, older than this, or late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from livius.domain.ids import DriverId
from livius.domain.repl import Phase, Repl
from livius.domain.statement import Kind
from livius.ports.links import Links
from livius_agent.wire import COMPLETION_PROTOCOL, LONGEST_LINE, Complete, Completed

_WITHIN: Final = 2.0
_MOST_OPEN: Final = 4
"""Open questions of one driver; a client asks once per pause in typing."""


@dataclass(slots=True)
class _Asked:
    """An attached driver that can be asked, and the open questions to it."""

    token: object
    open: dict[int, asyncio.Future[Sequence[str]]] = field(default_factory=dict)


class Completions:
    """The questions of this gateway to the drivers whose links it has."""

    def __init__(self) -> None:
        self._drivers: dict[DriverId, _Asked] = {}
        self._numbers = count(1)

    def attached(self, driver: DriverId, token: object, protocol: int) -> None:
        """Note a driver's new link."""
        if protocol >= COMPLETION_PROTOCOL:
            self._drivers[driver] = _Asked(token)

    def detached(self, driver: DriverId, token: object) -> None:
        """Note the end of a driver's link, unless a newer one has taken its place."""
        found = self._drivers.get(driver)
        if found is not None and found.token is token:
            del self._drivers[driver]

    def answered(self, driver: DriverId, message: Completed) -> None:
        """Take an answer; one that nobody waits for any more is forgotten."""
        asked = self._drivers.get(driver)
        waiting = None if asked is None else asked.open.get(message.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(message.names)

    async def ask(self, links: Links, repl: Repl, kind: Kind, code: str) -> Sequence[str]:
        """Return the names that a repl proposes for the end of the code, soon or none."""
        asked = self._drivers.get(repl.driver)
        if asked is None or repl.phase is not Phase.OPEN or len(asked.open) >= _MOST_OPEN:
            return ()
        number = next(self._numbers)
        waiting: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
        asked.open[number] = waiting
        try:
            question = Complete(id=number, repl=repl.id, kind=kind.value, code=code[-LONGEST_LINE:])
            if not links.send(repl.driver, question):
                return ()
            async with asyncio.timeout(_WITHIN):
                return await waiting
        except TimeoutError:
            return ()
        finally:
            del asked.open[number]
