"""Visits of the portal, in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, or_, select, update
from sqlalchemy.sql import ColumnElement

from livius.adapters.store.engine import Transactions
from livius.adapters.store.rows import principal_of, principal_row
from livius.adapters.store.schema import VISITS
from livius.domain.ids import PrincipalId
from livius.domain.visit import IDLE, LONGEST, Visit

_BY_KEY: Final = select(VISITS).where(VISITS.c.key == bindparam("wanted"))


class SqlVisits:
    """Implements `livius.ports.store.Visits`."""

    _transactions: Transactions

    async def add_visit(self, visit: Visit, *, most_of_one: int, most: int) -> None:
        """See the port."""
        values = {
            "key": visit.key,
            "principal": visit.caller.oid,
            "caller": principal_row(visit.caller),
            "began_at": visit.began_at,
            "seen_at": visit.seen_at,
        }
        own = VISITS.c.principal == visit.caller.oid

        def work(connection: Connection) -> None:
            _make_room(connection, most_of_one - 1, own)
            _make_room(connection, most - 1)
            connection.execute(insert(VISITS).values(values))

        await self._transactions.run(work)

    async def visit(self, key: str) -> Visit | None:
        """See the port."""
        row = await self._transactions.run(
            lambda connection: connection.execute(_BY_KEY, {"wanted": key}).first()
        )
        return _visit_of(row) if row else None

    async def touch_visit(self, key: str, *, at: datetime) -> None:
        """See the port."""
        await self._transactions.execute(
            update(VISITS).where(VISITS.c.key == key).values(seen_at=at)
        )

    async def remove_visit(self, key: str) -> None:
        """See the port."""
        await self._transactions.execute(delete(VISITS).where(VISITS.c.key == key))

    async def forget_visits(self, now: datetime) -> None:
        """See the port."""
        over = or_(VISITS.c.seen_at < now - IDLE, VISITS.c.began_at < now - LONGEST)
        await self._transactions.execute(delete(VISITS).where(over))


def end_visits(connection: Connection, principal: PrincipalId) -> None:
    """End what a user who is removed, or gets another password, has open."""
    connection.execute(delete(VISITS).where(VISITS.c.principal == principal))


def _make_room(connection: Connection, leave: int, *among: ColumnElement[bool]) -> None:
    """Delete all but so many: those that were idle for longest."""
    beyond = select(VISITS.c.key).where(*among).order_by(VISITS.c.seen_at.desc()).offset(leave)
    connection.execute(delete(VISITS).where(VISITS.c.key.in_(beyond)))


def _visit_of(row: Row[Any]) -> Visit:
    return Visit(
        key=row.key,
        caller=principal_of(row.caller),
        began_at=row.began_at,
        seen_at=row.seen_at,
    )
