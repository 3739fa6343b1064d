"""Sessions of the portal: begin, continue, end. They are stored, so a restart signs nobody out."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final

from livius.domain.errors import Unauthenticated, Unavailable
from livius.domain.portal_session import PortalSession, key_of, new_cookie
from livius.domain.principal import Principal
from livius.ports.clock import Clock
from livius.ports.identity import Present
from livius.ports.store import PortalSessions as VisitRecords

_MOST: Final = 10_000
_MOST_OF_ONE: Final = 50
_TOUCHED_EVERY: Final = timedelta(minutes=1)
"""The error of the stored time of the last request; with it, most requests need no write."""


class PortalSessions:
    """All portal sessions.

    If there are too many, in all or of one person, the longest idle one ends. Each request queries
    the store, so that a portal session which a command has ended is over at once. ``issuer`` is the
    issuer of valid principals: portal sessions of an authority that was configured earlier are
    invalid. ``present`` refuses principals that were removed.
    """

    def __init__(self, store: VisitRecords, clock: Clock, *, issuer: str, present: Present) -> None:
        self._present = present
        self._store = store
        self._clock = clock
        self._issuer = issuer

    async def begin(self, caller: Principal) -> str:
        """Begin a portal session, and return the value of its cookie."""
        cookie, now = new_cookie(), self._clock.now()
        portal_session = PortalSession(key=key_of(cookie), caller=caller, began_at=now, seen_at=now)
        await self._store.add_portal_session(portal_session, most_of_one=_MOST_OF_ONE, most=_MOST)
        return cookie

    async def find(self, cookie: str | None, *, touch: bool = True) -> PortalSession | None:
        """Return the portal session of a cookie, and record the visit.

        ``touch`` is False for the automatic requests of an open page, which don't extend the portal
        session.
        """
        portal_session = await self._going_on(key_of(cookie)) if cookie else None
        now = self._clock.now()
        if portal_session is not None and touch and now - portal_session.seen_at >= _TOUCHED_EVERY:
            # On a full disk people must still be able to see the cause.
            with contextlib.suppress(Unavailable):
                await self._store.touch_portal_session(portal_session.key, at=now)
        return portal_session

    async def goes_on(self, portal_session: PortalSession) -> bool:
        """Tell whether a portal session has not ended yet."""
        return await self._going_on(portal_session.key) is not None

    async def end(self, portal_session: PortalSession) -> None:
        """End a portal session. Its cookie becomes invalid."""
        await self._store.remove_portal_session(portal_session.key)

    async def _going_on(self, key: str) -> PortalSession | None:
        portal_session = await self._store.portal_session(key)
        if portal_session is None or portal_session.caller.issuer != self._issuer:
            return None
        if portal_session.is_over(self._clock.now()):
            return None
        try:
            await self._present(portal_session.caller)
        except Unauthenticated:
            return None
        return portal_session
