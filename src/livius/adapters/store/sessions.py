"""Sessions and their drivers, in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Update, bindparam, case, delete, func, insert, select, update

from livius.adapters.store.audit import write
from livius.adapters.store.engine import Transactions
from livius.adapters.store.idempotency import refuse_repeat, remember
from livius.adapters.store.rows import (
    driver_of,
    encode_session,
    listed,
    session_of,
    session_row,
)
from livius.adapters.store.schema import (
    DRIVERS,
    EFFECTIVE_CONFS,
    HIGH_CONCURRENCY_SESSIONS,
    IDEMPOTENCY_KEYS,
    LAKEHOUSES,
    REPLS,
    SESSIONS,
    STATEMENT_JOBS,
    STATEMENTS,
)
from livius.adapters.store.statements import abandon
from livius.domain.audit import AuditEntry
from livius.domain.driver import Driver
from livius.domain.idempotency import IdempotencyKey
from livius.domain.ids import DriverId, LakehouseId, ReplId, SessionId, WorkspaceId
from livius.domain.principal import Principal
from livius.domain.repl import Event as ReplEvent
from livius.domain.repl import Phase as ReplPhase
from livius.domain.repl import Repl
from livius.domain.repl import sources as repl_sources
from livius.domain.session import (
    ACCEPTING,
    FINAL,
    LIVE,
    STARTING,
    TRANSITIONS,
    EndCause,
    Event,
    Goal,
    Phase,
    Session,
)
from livius.domain.statement import OPEN, Statement
from livius.ports.store import Occupancy, SessionEnd

_HAS_OPEN_STATEMENT = (
    select(STATEMENTS.c.number)
    .where(STATEMENTS.c.session == SESSIONS.c.id, STATEMENTS.c.phase.in_(OPEN))
    .exists()
)
_SESSION = select(SESSIONS).where(SESSIONS.c.id == bindparam("id"))
_OCCUPANCY = select(func.count(), func.count(case((SESSIONS.c.phase.in_(STARTING), 1)))).where(
    SESSIONS.c.phase.in_(LIVE), SESSIONS.c.id != bindparam("but")
)
# An update that changes nothing keeps the row for this transaction, in every database.
_HOLD = (
    update(SESSIONS)
    .where(SESSIONS.c.id == bindparam("of"))
    .values(id=SESSIONS.c.id)
    .returning(SESSIONS)
)
_IDLE = (SESSIONS.c.phase == Phase.READY, SESSIONS.c.goal == Goal.RUN, ~_HAS_OPEN_STATEMENT)


def _guarded(event: Event) -> Update:
    """Return the update that an event is: it names the phases that it may leave."""
    leads = {phase: row[event] for phase, row in sorted(TRANSITIONS.items()) if event in row}
    return (
        update(SESSIONS)
        .where(SESSIONS.c.id == bindparam("of"), SESSIONS.c.phase.in_(leads))
        .values(phase=case(leads, value=SESSIONS.c.phase))
        .returning(SESSIONS)
    )


_MOVES = {event: _guarded(event) for event in Event}
_OPEN_FIRST_REPL = (
    update(REPLS)
    .where(REPLS.c.id == bindparam("of"), REPLS.c.phase.in_(repl_sources(ReplEvent.OPENED)))
    .values(phase=ReplPhase.OPEN)
)
_CLOSE_REPLS = (
    update(REPLS)
    .where(REPLS.c.session == bindparam("of"), REPLS.c.phase.in_(repl_sources(ReplEvent.CLOSED)))
    .values(phase=ReplPhase.CLOSED, ended_at=bindparam("at", type_=REPLS.c.ended_at.type))
)
# What goes with a session, in an order that breaks no reference.
_OF_SESSION = (
    IDEMPOTENCY_KEYS,
    STATEMENT_JOBS,
    EFFECTIVE_CONFS,
    STATEMENTS,
    HIGH_CONCURRENCY_SESSIONS,
    REPLS,
    DRIVERS,
)


class SqlSessions:
    """Implements `livius.ports.store.Sessions`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def add_session(
        self,
        session: Session,
        driver: Driver,
        *,
        admit: Callable[[Occupancy], None] = lambda _: None,
        audit: AuditEntry | None = None,
        key: IdempotencyKey | None = None,
    ) -> None:
        """See the port."""

        def work(connection: Connection) -> None:
            refuse_repeat(connection, key)
            add_session(connection, session, driver, admit)
            remember(connection, key, session.id, session.id)
            write(connection, audit, self._keep_audit)

        await self._transactions.run(work, sees_taken=key is not None)

    async def session(self, session: SessionId) -> Session | None:
        """See the port."""
        return await self._transactions.run(lambda connection: find_session(connection, session))

    async def session_of_driver(self, driver: DriverId) -> Session | None:
        """See the port."""

        def work(connection: Connection) -> Session | None:
            row = connection.execute(select(SESSIONS).where(SESSIONS.c.driver == driver)).first()
            return session_of(row) if row else None

        return await self._transactions.run(work)

    async def list_sessions(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, *, skip: int, top: int
    ) -> tuple[Sequence[Session], int]:
        """See the port."""
        wanted = (
            SESSIONS.c.workspace == workspace,
            SESSIONS.c.lakehouse == lakehouse,
            SESSIONS.c.deleted_at.is_(None),
        )

        def work(connection: Connection) -> tuple[Sequence[Session], int]:
            total = connection.execute(select(func.count()).where(*wanted)).scalar_one()
            rows = connection.execute(
                select(SESSIONS)
                .where(*wanted)
                .order_by(SESSIONS.c.created_at.desc(), SESSIONS.c.id)
                .offset(skip)
                .limit(top)
            )
            return [session_of(row) for row in rows], total

        return await self._transactions.run(work)

    async def live_sessions(self) -> Sequence[SessionId]:
        """See the port."""
        query = select(SESSIONS.c.id).where(SESSIONS.c.phase.in_(LIVE))
        return await self._transactions.run(lambda connection: _ids(connection, query))

    async def count_live(self) -> tuple[Mapping[str, int], int]:
        """See the port."""
        phases = (
            select(SESSIONS.c.phase, func.count().label("number"))
            .where(SESSIONS.c.phase.in_(LIVE))
            .group_by(SESSIONS.c.phase)
        )
        # Only a live session has open statements.
        opened = (
            select(func.count())
            .select_from(STATEMENTS)
            .join(SESSIONS, STATEMENTS.c.driver == SESSIONS.c.driver)
            .where(SESSIONS.c.phase.in_(LIVE), STATEMENTS.c.phase.in_(OPEN))
        )

        def work(connection: Connection) -> tuple[Mapping[str, int], int]:
            counts = {row.phase: row.number for row in connection.execute(phases)}
            return counts, connection.execute(opened).scalar_one()

        return await self._transactions.run(work)

    async def move_session(
        self, session: SessionId, event: Event, *, at: datetime, **changes: Any
    ) -> Session | None:
        """See the port."""

        def work(connection: Connection) -> Session | None:
            moved = _move(connection, session, event, at)
            if moved is not None and moved.phase is Phase.READY:
                connection.execute(_OPEN_FIRST_REPL, {"of": moved.first_repl})
            return moved and _write(connection, moved, times=moved.times, **changes)

        return await self._transactions.run(work)

    async def end_session(
        self, session: SessionId, *, at: datetime, end: Callable[[Session], SessionEnd]
    ) -> tuple[Session, Sequence[Statement]] | None:
        """See the port."""

        def work(connection: Connection) -> tuple[Session, Sequence[Statement]] | None:
            moved = _move(connection, session, Event.DRIVER_ENDED, at)
            if moved is None:
                return None
            ended = end(moved)
            changed = _write(
                connection,
                moved,
                times=moved.times,
                end_cause=ended.cause or moved.end_cause,
                end_reason=ended.reason or moved.end_reason,
                log=ended.log or moved.log,
            )
            connection.execute(
                update(DRIVERS).where(DRIVERS.c.id == moved.driver).values(ended_at=at)
            )
            connection.execute(_CLOSE_REPLS, {"of": session, "at": at})
            abandoned = abandon(connection, session, at=at, ending=ended.ending)
            if ended.audit is not None:
                for one in abandoned:
                    write(connection, ended.audit.of_abandoned(one.number), self._keep_audit)
                write(connection, ended.audit, self._keep_audit)
            return changed, abandoned

        return await self._transactions.run(work)

    async def annotate_session(self, session: SessionId, **changes: Any) -> None:
        """See the port."""
        await self._transactions.execute(
            update(SESSIONS)
            .where(SESSIONS.c.id == session, SESSIONS.c.phase.in_(LIVE))
            .values(encode_session(changes))
        )

    async def narrow_token_principal(self, session: SessionId, caller: Principal) -> None:
        """See the port."""

        def work(connection: Connection) -> None:
            row = connection.execute(_HOLD, {"of": session}).first()
            if row is not None:
                present = session_of(row)
                _write(connection, present, token_principal=present.narrowed_by(caller))

        await self._transactions.run(work)

    async def request_stop(
        self,
        session: SessionId,
        *,
        only_in: frozenset[Phase] = frozenset(Phase),
        audit: AuditEntry | None = None,
        **changes: Any,
    ) -> Session | None:
        """See the port."""
        return await self._transactions.run(
            lambda connection: stop_session(
                connection, session, audit, self._keep_audit, changes, only_in
            )
        )

    async def stop_idle(
        self, *, now: datetime, reason: Callable[[Session], str]
    ) -> Sequence[SessionId]:
        """See the port."""
        ready = select(SESSIONS).where(*_IDLE)

        def look(connection: Connection) -> Sequence[Session]:
            # Durations and moments have no common arithmetic in SQL: the look is Python's.
            found = (session_of(row) for row in connection.execute(ready))
            return [one for one in found if one.last_active_at + one.idle_timeout <= now]

        async def is_stopped(idle: Session) -> bool:
            return await self._transactions.run(
                lambda connection: _stop_idle(connection, idle, reason)
            )

        return [one.id for one in await self._transactions.run(look) if await is_stopped(one)]

    async def set_effective_conf(self, session: SessionId, conf: Mapping[str, str]) -> None:
        """See the port."""

        def work(connection: Connection) -> None:
            if find_session(connection, session) is None:
                return
            connection.execute(delete(EFFECTIVE_CONFS).where(EFFECTIVE_CONFS.c.session == session))
            connection.execute(insert(EFFECTIVE_CONFS).values(session=session, conf=dict(conf)))

        await self._transactions.run(work)

    async def effective_conf(self, session: SessionId) -> Mapping[str, str]:
        """See the port."""
        query = select(EFFECTIVE_CONFS.c.conf).where(EFFECTIVE_CONFS.c.session == session)

        def work(connection: Connection) -> Mapping[str, str]:
            found: Mapping[str, str] | None = connection.execute(query).scalar()
            return found or {}

        return await self._transactions.run(work)

    async def touch(self, session: SessionId, *, at: datetime) -> bool:
        """See the port."""
        return await self._transactions.run(
            lambda connection: touch_session(connection, session, at=at)
        )

    async def sessions_to_stop(self) -> Sequence[SessionId]:
        """See the port."""
        query = select(SESSIONS.c.id).where(
            SESSIONS.c.phase.in_(ACCEPTING), SESSIONS.c.goal == Goal.STOP
        )
        return await self._transactions.run(lambda connection: _ids(connection, query))

    async def driver(self, driver: DriverId) -> Driver | None:
        """See the port."""

        def work(connection: Connection) -> Driver | None:
            row = connection.execute(select(DRIVERS).where(DRIVERS.c.id == driver)).first()
            return driver_of(row) if row else None

        return await self._transactions.run(work)

    async def set_driver_secret(self, driver: DriverId, secret_hash: str) -> None:
        """See the port."""
        query = update(DRIVERS).where(DRIVERS.c.id == driver).values(secret_hash=secret_hash)
        await self._transactions.execute(query)

    async def ended_before(self, moment: datetime) -> Sequence[Session]:
        """See the port."""
        query = select(SESSIONS).where(SESSIONS.c.phase.in_(FINAL), SESSIONS.c.created_at < moment)

        def work(connection: Connection) -> Sequence[Session]:
            ended = (session_of(row) for row in connection.execute(query))
            return [
                session
                for session in ended
                if session.times.get(session.phase, session.created_at) < moment
            ]

        return await self._transactions.run(work)

    async def remove_session(self, session: SessionId) -> None:
        """See the port."""

        def work(connection: Connection) -> None:
            row = connection.execute(_HOLD, {"of": session}).first()
            if row is None or row.phase not in FINAL:
                return
            for table in _OF_SESSION:
                connection.execute(delete(table).where(table.c.session == session))
            connection.execute(delete(SESSIONS).where(SESSIONS.c.id == session))

        await self._transactions.run(work)


def add_session(
    connection: Connection,
    session: Session,
    driver: Driver,
    admit: Callable[[Occupancy], None],
) -> Repl:
    """Insert a session with its driver and its first repl, inside of a transaction."""
    place = select(LAKEHOUSES.c.id).where(
        LAKEHOUSES.c.id == session.lakehouse, LAKEHOUSES.c.workspace == session.workspace
    )
    # Inserted first: the others are counted when none can come between any more.
    connection.execute(insert(SESSIONS).values(session_row(session)))
    drivers, starting = connection.execute(_OCCUPANCY, {"but": session.id}).one()
    found = connection.execute(place).first() is not None
    admit(Occupancy(drivers=drivers, starting=starting, has_lakehouse=found))
    connection.execute(
        insert(DRIVERS).values(
            id=driver.id,
            session=driver.session,
            secret_hash=driver.secret_hash,
            created_at=driver.created_at,
        )
    )
    first = new_repl(session.first_repl, session, at=session.created_at)
    add_repl(connection, first)
    return first


def new_repl(repl: ReplId, session: Session, *, at: datetime) -> Repl:
    """Return a repl that the session's driver is to open."""
    return Repl(
        id=repl,
        session=session.id,
        driver=session.driver,
        phase=ReplPhase.OPENING,
        created_at=at,
    )


def add_repl(connection: Connection, repl: Repl) -> None:
    """Insert a repl, inside of a transaction."""
    connection.execute(insert(REPLS).values(dataclasses.asdict(repl)))


def touch_session(connection: Connection, session: SessionId, *, at: datetime) -> bool:
    """Note activity of a session, inside of a transaction; False if it ends, or has ended."""
    query = (
        update(SESSIONS)
        .where(SESSIONS.c.id == session, SESSIONS.c.goal == Goal.RUN)
        .where(SESSIONS.c.phase.in_(ACCEPTING))
        .values(last_active_at=at)
    )
    return connection.execute(query).rowcount == 1


def find_session(connection: Connection, session: SessionId) -> Session | None:
    """Return a session, inside of a transaction."""
    row = connection.execute(_SESSION, {"id": session}).first()
    return session_of(row) if row else None


def stop_session(
    connection: Connection,
    session: SessionId,
    audit: AuditEntry | None,
    keep: timedelta,
    changes: Mapping[str, Any],
    only_in: frozenset[Phase] = frozenset(Phase),
) -> Session | None:
    """Do what `livius.ports.store.Sessions.request_stop` says, inside of a transaction."""
    of = update(SESSIONS).where(SESSIONS.c.id == session, SESSIONS.c.phase.in_(only_in))
    stop = of.where(SESSIONS.c.goal == Goal.RUN, SESSIONS.c.phase.in_(LIVE))
    row = connection.execute(stop.values(goal=Goal.STOP).returning(SESSIONS)).first()
    if row is not None:
        stopped = _write(connection, session_of(row), **changes)
        write(connection, audit, keep)
        return stopped
    if "deleted_at" in changes:
        mark = of.where(SESSIONS.c.deleted_at.is_(None)).values(deleted_at=changes["deleted_at"])
        row = connection.execute(mark.returning(SESSIONS)).first()
        if row is not None:
            write(connection, audit, keep)
            return session_of(row)
    present = find_session(connection, session)
    return present if present is not None and present.phase in only_in else None


def _stop_idle(connection: Connection, idle: Session, reason: Callable[[Session], str]) -> bool:
    """Stop a session if it is still as it was when it was found idle; return whether it was."""
    stop = (
        update(SESSIONS)
        .where(SESSIONS.c.id == idle.id, SESSIONS.c.last_active_at == idle.last_active_at, *_IDLE)
        .values(goal=Goal.STOP)
        .returning(SESSIONS)
    )
    row = connection.execute(stop).first()
    if row is None:
        return False
    stopped = session_of(row)
    _write(connection, stopped, end_cause=EndCause.IDLE, end_reason=reason(stopped))
    return True


def _move(connection: Connection, session: SessionId, event: Event, at: datetime) -> Session | None:
    """Apply an event; the moment, and what is made of the phase, are the caller's to write."""
    row = connection.execute(_MOVES[event], {"of": session}).first()
    if row is None:
        return None
    moved = session_of(row)
    return dataclasses.replace(moved, times={moved.phase: at, **moved.times})


def _write(connection: Connection, held: Session, **changes: Any) -> Session:
    """Write fields of a session whose row this transaction has changed or locked before.

    So no other transaction has changed it since. The columns for lists are derived again.
    """
    changed = dataclasses.replace(held, **changes)
    connection.execute(
        update(SESSIONS)
        .where(SESSIONS.c.id == held.id)
        .values(encode_session(changes) | listed(changed))
    )
    return changed


def _ids(connection: Connection, query: Any) -> Sequence[SessionId]:
    return [SessionId(row.id) for row in connection.execute(query)]
