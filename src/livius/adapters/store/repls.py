"""Repls and high-concurrency sessions, in SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Update, bindparam, func, insert, select, update

from livius.adapters.store.audit import write
from livius.adapters.store.engine import Transactions
from livius.adapters.store.idempotency import refuse_repeat, remember
from livius.adapters.store.moves import guarded
from livius.adapters.store.rows import high_concurrency_of, repl_of, session_of
from livius.adapters.store.schema import HIGH_CONCURRENCY_SESSIONS, REPLS, SESSIONS
from livius.adapters.store.sessions import add_repl, add_session, new_repl, touch_session
from livius.adapters.store.statements import abandon_in_repl
from livius.domain.audit import AuditEntry
from livius.domain.driver import Driver
from livius.domain.high_concurrency import HighConcurrencySession
from livius.domain.idempotency import IdempotencyKey
from livius.domain.ids import (
    DriverId,
    HighConcurrencyId,
    LakehouseId,
    PrincipalId,
    ReplId,
    SessionId,
)
from livius.domain.repl import ACCEPTING, LIVE, TRANSITIONS, Event, Repl
from livius.domain.session import ACCEPTING as SESSION_ACCEPTING
from livius.domain.session import Goal, Session
from livius.domain.statement import Ending, Statement
from livius.ports.capacity import Occupancy
from livius.ports.store import Acquired, Claim

_HC = HIGH_CONCURRENCY_SESSIONS
_SESSION = select(SESSIONS).where(SESSIONS.c.id == bindparam("of"))
_REPL = select(REPLS).where(REPLS.c.id == bindparam("of"))
_IN_SESSION = select(func.count()).where(
    REPLS.c.session == SESSIONS.c.id, REPLS.c.phase.in_(ACCEPTING)
)
# The fullest one first, so that the others can come to rest.
_WITH_ROOM = (
    select(SESSIONS.c.id)
    .where(
        SESSIONS.c.sharing_key == bindparam("key"),
        SESSIONS.c.goal == Goal.RUN,
        SESSIONS.c.phase.in_(SESSION_ACCEPTING),
        SESSIONS.c.deleted_at.is_(None),
        _IN_SESSION.scalar_subquery() < SESSIONS.c.sharing_limit,
    )
    .order_by(_IN_SESSION.scalar_subquery().desc(), SESSIONS.c.created_at, SESSIONS.c.id)
    .limit(1)
)


def _move(event: Event) -> Update:
    """Return the update that an event is, with what is written of an end."""
    step = guarded(REPLS, TRANSITIONS, event)
    if event is not Event.OPENED:  # the first reason stays
        reason = bindparam("reason", type_=REPLS.c.end_reason.type)
        step = step.values(end_reason=func.coalesce(REPLS.c.end_reason, reason))
    if event is Event.CLOSED:
        step = step.values(ended_at=bindparam("at", type_=REPLS.c.ended_at.type))
    return step


_MOVES = {event: _move(event) for event in Event}


class SqlRepls:
    """Implements `livius.ports.store.Repls` and `HighConcurrencySessions`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def repl(self, repl: ReplId) -> Repl | None:
        """See the port."""
        return await self._transactions.run(lambda connection: find_repl(connection, repl))

    async def live_repls(self, driver: DriverId) -> Sequence[Repl]:
        """See the port."""
        query = select(REPLS).where(REPLS.c.driver == driver, REPLS.c.phase.in_(LIVE))

        def work(connection: Connection) -> Sequence[Repl]:
            return [repl_of(row) for row in connection.execute(query.order_by(REPLS.c.created_at))]

        return await self._transactions.run(work)

    async def repls_of_session(
        self, session: SessionId
    ) -> Sequence[tuple[Repl, HighConcurrencySession | None]]:
        """See the port."""
        repls = (
            select(REPLS).where(REPLS.c.session == session).order_by(REPLS.c.created_at, REPLS.c.id)
        )
        handles = select(_HC).where(_HC.c.session == session)

        def work(
            connection: Connection,
        ) -> Sequence[tuple[Repl, HighConcurrencySession | None]]:
            of = {one.repl: one for one in map(high_concurrency_of, connection.execute(handles))}
            found = map(repl_of, connection.execute(repls))
            return [(repl, of.get(repl.id)) for repl in found]

        return await self._transactions.run(work)

    async def repl_opened(self, repl: ReplId) -> bool:
        """See the port."""

        def work(connection: Connection) -> bool:
            return connection.execute(_MOVES[Event.OPENED], {"of": repl}).first() is not None

        return await self._transactions.run(work)

    async def request_close(
        self, repl: ReplId, *, at: datetime, reason: str, ending: Ending
    ) -> tuple[Repl, Sequence[Statement]] | None:
        """See the port."""
        return await self._transactions.run(
            lambda connection: _request_close(connection, repl, at, reason, ending)
        )

    async def close_repl(
        self, repl: ReplId, *, at: datetime, reason: str | None, ending: Ending
    ) -> Sequence[Statement] | None:
        """See the port."""

        def work(connection: Connection) -> Sequence[Statement] | None:
            values = {"of": repl, "at": at, "reason": reason}
            if connection.execute(_MOVES[Event.CLOSED], values).first() is None:
                return None
            return abandon_in_repl(connection, repl, at=at, ending=ending)

        return await self._transactions.run(work)

    async def acquire(
        self,
        wanted: HighConcurrencySession,
        new: Session,
        driver: Driver,
        *,
        admit: Callable[[Occupancy], bool],
        claim: Claim | None = None,
        audit: Callable[[Session], AuditEntry],
        key: IdempotencyKey | None = None,
    ) -> Acquired:
        """See the port."""
        shared_by = {"key": new.sharing.key if new.sharing is not None else None}

        def work(connection: Connection) -> Acquired:
            refuse_repeat(connection, key)
            shared = connection.execute(_WITH_ROOM, shared_by).scalar()
            if shared is None:
                session, repl = add_session(connection, new, driver, admit, claim)
            else:
                # Held from here on; the session can't end or fill up meanwhile.
                touch_session(connection, shared, at=wanted.created_at)
                session = session_of(connection.execute(_SESSION, {"of": shared}).one())
                repl = new_repl(wanted.repl, session, at=wanted.created_at)
                add_repl(connection, repl)
            handle = replace(wanted, session=session.id, repl=repl.id)
            connection.execute(insert(_HC).values(_row(handle)))
            remember(connection, key, session.id, handle.id)
            write(connection, audit(session), self._keep_audit)
            return Acquired(handle=handle, session=session, repl=repl, is_new=shared is None)

        return await self._transactions.run(work)

    async def high_concurrency_session(
        self, handle: HighConcurrencyId
    ) -> tuple[HighConcurrencySession, Session, Repl] | None:
        """See the port."""

        def work(
            connection: Connection,
        ) -> tuple[HighConcurrencySession, Session, Repl] | None:
            row = connection.execute(select(_HC).where(_HC.c.id == handle)).first()
            return None if row is None else _joined(connection, high_concurrency_of(row))

        return await self._transactions.run(work)

    async def list_high_concurrency_sessions(
        self, lakehouse: LakehouseId, creator: PrincipalId, *, skip: int, top: int
    ) -> tuple[Sequence[tuple[HighConcurrencySession, Session, Repl]], int]:
        """See the port."""
        mine = (
            _HC.c.lakehouse == lakehouse,
            _HC.c.creator == creator,
            _HC.c.deleted_at.is_(None),
        )
        page = select(_HC).where(*mine).order_by(_HC.c.created_at.desc(), _HC.c.id)

        def work(
            connection: Connection,
        ) -> tuple[Sequence[tuple[HighConcurrencySession, Session, Repl]], int]:
            total = connection.execute(select(func.count()).where(*mine)).scalar_one()
            rows = connection.execute(page.offset(skip).limit(top)).all()
            return [_joined(connection, high_concurrency_of(row)) for row in rows], total

        return await self._transactions.run(work)

    async def release(
        self,
        handle: HighConcurrencyId,
        *,
        at: datetime,
        ending: Ending,
        audit: AuditEntry,
    ) -> tuple[Repl, Sequence[Statement]] | None:
        """See the port."""
        mark = (
            update(_HC)
            .where(_HC.c.id == handle, _HC.c.deleted_at.is_(None))
            .values(deleted_at=at)
            .returning(_HC)
        )

        def work(connection: Connection) -> tuple[Repl, Sequence[Statement]] | None:
            row = connection.execute(mark).first()
            if row is None:
                return None
            of = high_concurrency_of(row).repl
            closing = _request_close(connection, of, at, None, ending)
            repl, ended = closing or (repl_of(connection.execute(_REPL, {"of": of}).one()), ())
            for one in ended:
                write(connection, audit.of_abandoned(one.number), self._keep_audit)
            write(connection, audit, self._keep_audit)
            return repl, ended

        return await self._transactions.run(work)


def _request_close(
    connection: Connection, repl: ReplId, at: datetime, reason: str | None, ending: Ending
) -> tuple[Repl, Sequence[Statement]] | None:
    row = connection.execute(_MOVES[Event.CLOSE_REQUESTED], {"of": repl, "reason": reason}).first()
    if row is None:
        return None
    return repl_of(row), abandon_in_repl(connection, repl, at=at, ending=ending)


def find_repl(connection: Connection, repl: ReplId) -> Repl | None:
    """Return a repl, inside of a transaction."""
    row = connection.execute(_REPL, {"of": repl}).first()
    return repl_of(row) if row else None


def _joined(
    connection: Connection, handle: HighConcurrencySession
) -> tuple[HighConcurrencySession, Session, Repl]:
    session = connection.execute(_SESSION, {"of": handle.session}).one()
    repl = connection.execute(_REPL, {"of": handle.repl}).one()
    return handle, session_of(session), repl_of(repl)


def _row(handle: HighConcurrencySession) -> dict[str, object]:
    return {column.name: getattr(handle, column.name) for column in _HC.c}
