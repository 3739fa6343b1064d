"""Sessions of the portal, in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, or_, select, update
from sqlalchemy.sql import ColumnElement

from livius.adapters.store.engine import Transactions
from livius.adapters.store.rows import principal_of, principal_row
from livius.adapters.store.schema import PORTAL_SESSIONS
from livius.domain.ids import PrincipalId
from livius.domain.portal_session import IDLE, LONGEST, PortalSession

_BY_KEY: Final = select(PORTAL_SESSIONS).where(PORTAL_SESSIONS.c.key == bindparam("wanted"))


class SqlPortalSessions:
    """Implements `livius.ports.store.PortalSessions`."""

    _transactions: Transactions

    async def add_portal_session(
        self, portal_session: PortalSession, *, most_of_one: int, most: int
    ) -> None:
        """See the port."""
        values = {
            "key": portal_session.key,
            "principal": portal_session.caller.oid,
            "caller": principal_row(portal_session.caller),
            "began_at": portal_session.began_at,
            "seen_at": portal_session.seen_at,
        }
        own = PORTAL_SESSIONS.c.principal == portal_session.caller.oid

        def work(connection: Connection) -> None:
            _make_room(connection, most_of_one - 1, own)
            _make_room(connection, most - 1)
            connection.execute(insert(PORTAL_SESSIONS).values(values))

        await self._transactions.run(work)

    async def portal_session(self, key: str) -> PortalSession | None:
        """See the port."""
        row = await self._transactions.run(
            lambda connection: connection.execute(_BY_KEY, {"wanted": key}).first()
        )
        return _portal_session_of(row) if row else None

    async def touch_portal_session(self, key: str, *, at: datetime) -> None:
        """See the port."""
        await self._transactions.execute(
            update(PORTAL_SESSIONS).where(PORTAL_SESSIONS.c.key == key).values(seen_at=at)
        )

    async def remove_portal_session(self, key: str) -> None:
        """See the port."""
        await self._transactions.execute(
            delete(PORTAL_SESSIONS).where(PORTAL_SESSIONS.c.key == key)
        )

    async def forget_portal_sessions(self, now: datetime) -> None:
        """See the port."""
        over = or_(
            PORTAL_SESSIONS.c.seen_at < now - IDLE, PORTAL_SESSIONS.c.began_at < now - LONGEST
        )
        await self._transactions.execute(delete(PORTAL_SESSIONS).where(over))


def end_portal_sessions(connection: Connection, principal: PrincipalId) -> None:
    """End the portal sessions of a user who is removed or gets another password."""
    connection.execute(delete(PORTAL_SESSIONS).where(PORTAL_SESSIONS.c.principal == principal))


def _make_room(connection: Connection, leave: int, *among: ColumnElement[bool]) -> None:
    """Delete the longest idle ones beyond the limit."""
    beyond = (
        select(PORTAL_SESSIONS.c.key)
        .where(*among)
        .order_by(PORTAL_SESSIONS.c.seen_at.desc())
        .offset(leave)
    )
    connection.execute(delete(PORTAL_SESSIONS).where(PORTAL_SESSIONS.c.key.in_(beyond)))


def _portal_session_of(row: Row[Any]) -> PortalSession:
    return PortalSession(
        key=row.key,
        caller=principal_of(row.caller),
        began_at=row.began_at,
        seen_at=row.seen_at,
    )
