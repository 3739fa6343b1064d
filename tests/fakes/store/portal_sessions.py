"""PortalSessions of the portal, in a dictionary."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from fakes.store.records import Records
from livius.domain.portal_session import PortalSession


class MemoryPortalSessions(Records):
    async def add_portal_session(
        self, portal_session: PortalSession, *, most_of_one: int, most: int
    ) -> None:
        own = [
            one
            for one in self._portal_sessions.values()
            if one.caller.oid == portal_session.caller.oid
        ]
        self._leave(own, most_of_one - 1)
        self._leave(list(self._portal_sessions.values()), most - 1)
        self._portal_sessions[portal_session.key] = portal_session

    def _leave(self, portal_sessions: Sequence[PortalSession], number: int) -> None:
        for one in sorted(
            portal_sessions, key=lambda portal_session: portal_session.seen_at, reverse=True
        )[number:]:
            del self._portal_sessions[one.key]

    def all_portal_sessions(self) -> list[PortalSession]:
        """All that is kept, for tests to look at."""
        return list(self._portal_sessions.values())

    async def portal_session(self, key: str) -> PortalSession | None:
        return self._portal_sessions.get(key)

    async def touch_portal_session(self, key: str, *, at: datetime) -> None:
        if key in self._portal_sessions:
            self._portal_sessions[key] = dataclasses.replace(self._portal_sessions[key], seen_at=at)

    async def remove_portal_session(self, key: str) -> None:
        self._portal_sessions.pop(key, None)

    async def forget_portal_sessions(self, now: datetime) -> None:
        self._portal_sessions = {
            key: one for key, one in self._portal_sessions.items() if not one.is_over(now)
        }
