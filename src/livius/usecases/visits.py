"""Visits of the portal: begin, go on, end. They are kept: a restart signs nobody out."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final

from livius.domain.errors import Unauthenticated, Unavailable
from livius.domain.identity import Principal
from livius.domain.visit import Visit, key_of, new_cookie
from livius.ports.clock import Clock
from livius.ports.store import Visits as VisitRecords
from livius.usecases.identity.presence import Present

_MOST: Final = 10_000
_MOST_OF_ONE: Final = 50
_TOUCHED_EVERY: Final = timedelta(minutes=1)
"""So much may be missing from what is known of when somebody was there: a page is no write."""


class Visits:
    """All visits. Of too many, in all or of one person, the one that was idle for longest ends.

    Each look asks the records, so that a visit which a command has ended is over at once.
    ``issuer`` is of whom principals are; visits of another authority's, which was trusted before,
    don't count, and ``present`` refuses those whose principal was removed.
    """

    def __init__(self, store: VisitRecords, clock: Clock, *, issuer: str, present: Present) -> None:
        self._present = present
        self._store = store
        self._clock = clock
        self._issuer = issuer

    async def begin(self, caller: Principal) -> str:
        """Begin a visit, and return the value of its cookie."""
        cookie, now = new_cookie(), self._clock.now()
        visit = Visit(key=key_of(cookie), caller=caller, began_at=now, seen_at=now)
        await self._store.add_visit(visit, most_of_one=_MOST_OF_ONE, most=_MOST)
        return cookie

    async def find(self, cookie: str | None, *, touch: bool = True) -> Visit | None:
        """Return the visit of a cookie, and note that its person is there.

        ``touch`` is False for what a page does by itself: an open page alone keeps nobody in.
        """
        visit = await self._going_on(key_of(cookie)) if cookie else None
        now = self._clock.now()
        if visit is not None and touch and now - visit.seen_at >= _TOUCHED_EVERY:
            # On a full disk people still have to see what fills it.
            with contextlib.suppress(Unavailable):
                await self._store.touch_visit(visit.key, at=now)
        return visit

    async def goes_on(self, visit: Visit) -> bool:
        """Tell whether a visit has not ended yet."""
        return await self._going_on(visit.key) is not None

    async def end(self, visit: Visit) -> None:
        """End a visit. Its cookie is worth nothing from now on."""
        await self._store.remove_visit(visit.key)

    async def _going_on(self, key: str) -> Visit | None:
        visit = await self._store.visit(key)
        if visit is None or visit.caller.issuer != self._issuer:
            return None
        if visit.is_over(self._clock.now()):
            return None
        try:
            await self._present(visit.caller)
        except Unauthenticated:
            return None
        return visit
