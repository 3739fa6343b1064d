"""Live pages: one stream of Server-Sent Events per page that says which parts have changed.

An event has the names of parts, never their content: the page then fetches these parts by its own
address. The event's id has the version of each part that the page has, so that a broken stream
resumes without gaps and repeats.

Streams are bounded in number, for all and for each portal session, and in time; they end with the
portal session, when the caller leaves, and at once when the gateway ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response, StreamingResponse

from livius.domain.errors import LiviusError
from livius.domain.portal_session import PortalSession
from livius.ports.notifications import Notifications, Topic
from livius.stream_limit import StreamLimit
from livius.usecases.portal_sessions import PortalSessions

_MOST: Final = 500
_MOST_OF_A_VISIT: Final = 12
_PACE: Final = 0.3
"""Seconds between two checks: faster changes are sent together."""
BEAT: Final = 15.0
_LONGEST: Final = 900.0
_LONGEST_ID: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class PageVersion:
    """The present state of a page: a version for each part, and the topics to watch.

    After ``beat`` seconds the state is read again even without a notification.
    """

    versions: Mapping[str, str]
    topics: tuple[Topic, ...]
    beat: float = BEAT


def version_of(shown: str) -> str:
    """Return a version of a part, which differs as soon as its content does."""
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()[:16]


ReadPageVersion = Callable[[], Awaitable[PageVersion]]


class EventStreams:
    """All streams of the portal."""

    def __init__(self, notifications: Notifications, portal_sessions: PortalSessions) -> None:
        self._notifications = notifications
        self._portal_sessions = portal_sessions
        self._limit = StreamLimit(most=_MOST, most_of_one=_MOST_OF_A_VISIT)
        self._closed = False

    @property
    def open(self) -> int:
        """The number of streams."""
        return self._limit.open

    def close(self) -> None:
        """End all streams and begin no more. They end once their watches are released."""
        self._closed = True

    def serve(
        self, portal_session: PortalSession, looker: ReadPageVersion, *, seen: str
    ) -> Response:
        """Answer with a stream; ``seen`` is the id of the last event that the page had."""
        if self._closed or not self._limit.has_room(portal_session.key):
            # The page stays as it is, and tries again later.
            return Response(status_code=503, headers={"Retry-After": "10"})
        return StreamingResponse(
            self._events(portal_session, looker, _versions(seen)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _events(
        self,
        portal_session: PortalSession,
        looker: ReadPageVersion,
        known: Mapping[str, str] | None,
    ) -> AsyncIterator[str]:
        with self._limit.opened(portal_session.key), suppress(LiviusError):
            # The page's subject is gone, or the caller has lost its right: a reload shows which.
            loop = asyncio.get_running_loop()
            end = loop.time() + _LONGEST
            yield "retry: 2000\n\n"
            look = await looker()
            while (
                not self._closed
                and await self._portal_sessions.goes_on(portal_session)
                and loop.time() < end
            ):
                watched = look.topics
                # Streams have a separate limit. If they shared that of long polls, each would poll
                # as soon as it was reached.
                with self._notifications.watch(*watched, counted=False) as watch:
                    # The watch begins before the read, so that no change is missed between them.
                    look = await looker()
                    yield _event(known, look.versions)
                    known = look.versions
                    if set(look.topics) <= set(watched):
                        await watch.changed(look.beat)
                await asyncio.sleep(_PACE)


def _event(known: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    changed = [] if known is None else [name for name in now if known.get(name) != now[name]]
    identity = json.dumps(now, separators=(",", ":"))
    if known is None:
        # The first event has only the page's version. (Data must not be empty.)
        return f"id: {identity}\ndata: none\n\n"
    if not changed:
        return ": still here\n\n"
    return f"id: {identity}\ndata: {' '.join(changed)}\n\n"


def _versions(seen: str) -> Mapping[str, str] | None:
    """Read an event's id again; None for anything else."""
    if not seen or len(seen) > _LONGEST_ID:
        return None
    try:
        found = json.loads(seen)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return {str(name): str(version) for name, version in found.items()}
