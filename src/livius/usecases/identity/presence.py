"""Checks that the principals of tokens and portal sessions are still in the directory."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from typing import Final

from livius.domain.errors import Unauthenticated
from livius.domain.ids import PrincipalId
from livius.domain.principal import Principal
from livius.ports.clock import Clock
from livius.ports.identity import Directory

BOUND: Final = timedelta(seconds=5)
"""How long after a principal's removal its tokens may still be accepted."""

_REMEMBERED: Final = 4096


async def anybody(_principal: Principal) -> None:
    """Refuse nobody: another authority ends the tokens of removed principals itself."""


class Presence:
    """Looks principals up in the embedded authority's directory, each once in `BOUND`.

    Both count: a token's principal, and the application that it was issued to. Bounded: the oldest
    entry is dropped.
    """

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._until: OrderedDict[tuple[str, str | None], float] = OrderedDict()

    async def check(self, principal: Principal) -> None:
        """Refuse a principal that was removed.

        Raises:
            Unauthenticated: the directory has no such principal, or no such application.
        """
        who, now = (principal.oid, principal.client_id), self._clock.monotonic()
        if self._until.get(who, now) > now:
            self._until.move_to_end(who)
            return
        if not await self._directory.knows(PrincipalId(principal.oid), principal.client_id):
            self._until.pop(who, None)
            raise Unauthenticated(
                "InvalidToken",
                "The user or the application that the token names is not known here any more.",
            )
        self._until[who] = now + BOUND.total_seconds()
        self._until.move_to_end(who)
        if len(self._until) > _REMEMBERED:
            self._until.popitem(last=False)
