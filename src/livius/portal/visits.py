"""Visits: who has signed in at the portal, by the cookie of their browser.

The cookie is a random name and nothing else; what it stands for is kept here, in memory: after a
restart of the gateway people sign in again. A visit ends when it was idle for too long, when it
has lasted for too long, and when its person signs out.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from livius.domain.digests import hash_drawn
from livius.domain.identity import Principal
from livius.ports.clock import Clock

IDLE: Final = timedelta(hours=8)
LONGEST: Final = timedelta(hours=24)
_MOST: Final = 10_000
_MOST_OF_ONE: Final = 50
_NAME_BYTES: Final = 32


@dataclass(slots=True, kw_only=True)
class Visit:
    """One person's visit. ``csrf`` is what each of its forms has to show.

    ``key`` names it inside of the server; the cookie's value is known to the browser alone.
    """

    key: str
    caller: Principal
    csrf: str
    began: float
    seen: float
    streams: int = field(default=0)


class Visits:
    """All visits. Of too many, in all or of one person, the one that was idle for longest ends."""

    def __init__(
        self, clock: Clock, *, idle: timedelta = IDLE, longest: timedelta = LONGEST
    ) -> None:
        self._clock = clock
        self._idle = idle.total_seconds()
        self._longest = longest.total_seconds()
        self._visits: dict[str, Visit] = {}

    def begin(self, caller: Principal) -> tuple[str, Visit]:
        """Return a new visit and the value of its cookie."""
        now = self._clock.monotonic()
        self._sweep(now)
        own = [visit for visit in self._visits.values() if visit.caller.oid == caller.oid]
        for visits, most in ((own, _MOST_OF_ONE), (self._visits.values(), _MOST)):
            if len(visits) >= most:
                self.end(min(visits, key=lambda visit: visit.seen))
        cookie = secrets.token_urlsafe(_NAME_BYTES)
        visit = Visit(
            key=_key(cookie),
            caller=caller,
            csrf=secrets.token_urlsafe(_NAME_BYTES),
            began=now,
            seen=now,
        )
        self._visits[visit.key] = visit
        return cookie, visit

    def find(self, cookie: str | None, *, touch: bool = True) -> Visit | None:
        """Return the visit of a cookie, and note that its person is there.

        ``touch`` is False for what a page does by itself: an open page alone keeps nobody in.
        """
        visit = self._visits.get(_key(cookie)) if cookie else None
        if visit is None:
            return None
        now = self._clock.monotonic()
        if self._is_over(visit, now):
            self.end(visit)
            return None
        if touch:
            visit.seen = now
        return visit

    def goes_on(self, visit: Visit) -> bool:
        """Tell whether a visit has not ended yet."""
        return self._visits.get(visit.key) is visit and not self._is_over(
            visit, self._clock.monotonic()
        )

    def end(self, visit: Visit) -> None:
        """End a visit. Its cookie is worth nothing from now on."""
        self._visits.pop(visit.key, None)

    def _is_over(self, visit: Visit, now: float) -> bool:
        return now - visit.seen > self._idle or now - visit.began > self._longest

    def _sweep(self, now: float) -> None:
        for visit in [visit for visit in self._visits.values() if self._is_over(visit, now)]:
            self.end(visit)


def _key(cookie: str) -> str:
    """Return what is kept of a cookie: whoever reads our memory's dump can't use it."""
    return hash_drawn(cookie)
