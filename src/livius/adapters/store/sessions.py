"""Sessions and their drivers, in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Label,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from livius.adapters.store.audit import write
from livius.adapters.store.engine import Transactions
from livius.adapters.store.idempotency import refuse_repeat, remember
from livius.adapters.store.moves import guarded
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
    ENVIRONMENT_VERSIONS,
    HEAPS,
    HIGH_CONCURRENCY_SESSIONS,
    IDEMPOTENCY_KEYS,
    LAKEHOUSES,
    REPLS,
    SESSIONS,
    STATEMENT_JOBS,
    STATEMENTS,
)
from livius.domain.audit import AuditEntry
from livius.domain.driver import COMING_UP, Driver, Owner
from livius.domain.driver import LIVE as LIVE_DRIVERS
from livius.domain.driver import Goal as DriverGoal
from livius.domain.driver import Phase as DriverPhase
from livius.domain.idempotency import IdempotencyKey
from livius.domain.ids import (
    DriverId,
    EnvironmentVersionId,
    LakehouseId,
    ReplId,
    SessionId,
    WorkspaceId,
)
from livius.domain.principal import Principal
from livius.domain.repl import Event as ReplEvent
from livius.domain.repl import Phase as ReplPhase
from livius.domain.repl import Repl
from livius.domain.repl import sources as repl_sources
from livius.domain.session import (
    ACCEPTING,
    FINAL,
    LIVE,
    TRANSITIONS,
    EndCause,
    Event,
    Goal,
    Phase,
    Session,
)
from livius.domain.statement import OPEN
from livius.ports.capacity import Occupancy
from livius.ports.store import Claim

_HAS_OPEN_STATEMENT = (
    select(STATEMENTS.c.number)
    .where(STATEMENTS.c.session == SESSIONS.c.id, STATEMENTS.c.phase.in_(OPEN))
    .exists()
)
_SESSION = select(SESSIONS).where(SESSIONS.c.id == bindparam("id"))
_WANTED = DRIVERS.c.goal == DriverGoal.RUN
_IS_QUEUED = DRIVERS.c.phase == DriverPhase.QUEUED
# One that ends before it was launched, as from the queue, takes no place while it does.
_NEVER_RAN = or_(
    _IS_QUEUED, and_(DRIVERS.c.phase == DriverPhase.ENDING, DRIVERS.c.secret_hash.is_(None))
)


def _count(name: str, *conditions: ColumnElement[bool]) -> Label[int]:
    return func.count(case((and_(*conditions), 1))).label(name)


_OCCUPANCY = select(
    _count("drivers", DRIVERS.c.owner == Owner.SESSION, not_(_NEVER_RAN)),
    _count("queued", _IS_QUEUED, _WANTED),
    _count("starting", DRIVERS.c.phase.in_(COMING_UP), _WANTED),
    _count("pooled", DRIVERS.c.owner == Owner.POOL, _WANTED),
).where(DRIVERS.c.phase.in_(LIVE_DRIVERS))
# The one that has been warm for longest.
_CLAIMABLE = (
    select(DRIVERS.c.id)
    .where(
        DRIVERS.c.owner == Owner.POOL,
        DRIVERS.c.phase == DriverPhase.WARM,
        DRIVERS.c.goal == DriverGoal.RUN,
        DRIVERS.c.fingerprint == bindparam("of_kind"),
        DRIVERS.c.environment.is_not_distinct_from(bindparam("of_version")),
    )
    .order_by(DRIVERS.c.created_at, DRIVERS.c.id)
    .limit(1)
)
_CLAIM = (
    update(DRIVERS)
    .where(DRIVERS.c.id == _CLAIMABLE.scalar_subquery(), DRIVERS.c.owner == Owner.POOL)
    .values(owner=Owner.SESSION, session=bindparam("claimer"))
    .returning(DRIVERS)
)
# An update that changes nothing keeps the row for this transaction, in every database.
_HOLD = (
    update(SESSIONS)
    .where(SESSIONS.c.id == bindparam("of"))
    .values(id=SESSIONS.c.id)
    .returning(SESSIONS)
)
_IDLE = (SESSIONS.c.phase == Phase.READY, SESSIONS.c.goal == Goal.RUN, ~_HAS_OPEN_STATEMENT)


_MOVES = {event: guarded(SESSIONS, TRANSITIONS, event) for event in Event}
_OPEN_REPL = (
    update(REPLS)
    .where(REPLS.c.id == bindparam("of"), REPLS.c.phase.in_(repl_sources(ReplEvent.OPENED)))
    .values(phase=ReplPhase.OPEN)
)
_CLOSE_REPLS = (
    update(REPLS)
    .where(REPLS.c.session == bindparam("of"), REPLS.c.phase.in_(repl_sources(ReplEvent.CLOSED)))
    .values(phase=ReplPhase.CLOSED, ended_at=bindparam("at", type_=REPLS.c.ended_at.type))
)
_END_DRIVER = update(DRIVERS).where(DRIVERS.c.id == bindparam("of")).values(goal=DriverGoal.END)
# What goes with a session, in an order that breaks no reference.
_OF_SESSION = (
    IDEMPOTENCY_KEYS,
    STATEMENT_JOBS,
    EFFECTIVE_CONFS,
    HEAPS,
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
        admit: Callable[[Occupancy], bool] = lambda _: True,
        claim: Claim | None = None,
        audit: AuditEntry | None = None,
        key: IdempotencyKey | None = None,
    ) -> Session:
        """See the port."""

        def work(connection: Connection) -> Session:
            refuse_repeat(connection, key)
            added, _ = add_session(connection, session, driver, admit, claim)
            remember(connection, key, session.id, session.id)
            write(connection, audit, self._keep_audit)
            return added

        return await self._transactions.run(work, sees_taken=key is not None)

    async def session(self, session: SessionId) -> Session | None:
        """See the port."""
        return await self._transactions.run(lambda connection: find_session(connection, session))

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
                write_session(connection, present, token_principal=present.narrowed_by(caller))

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
    ) -> Sequence[DriverId]:
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

        return [one.driver for one in await self._transactions.run(look) if await is_stopped(one)]

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
    admit: Callable[[Occupancy], bool],
    claim: Claim | None,
) -> tuple[Session, Repl]:
    """Insert a session with its driver and its first repl, inside of a transaction.

    The driver is one of the pool's, if one can be claimed. Return the session as it is then.
    """
    place = select(LAKEHOUSES.c.id).where(
        LAKEHOUSES.c.id == session.lakehouse, LAKEHOUSES.c.workspace == session.workspace
    )
    # Inserted first: the others are counted when none can come between any more.
    connection.execute(insert(SESSIONS).values(session_row(session)))
    wanted = {
        "of_kind": None if claim is None else claim.fingerprint,
        "of_version": None if claim is None else claim.environment,
    }
    starts_now = admit(
        occupancy(
            connection,
            has_lakehouse=connection.execute(place).first() is not None,
            has_environment=hold_version(connection, session.environment),
            has_driver=connection.execute(_CLAIMABLE, wanted).first() is not None,
        )
    )
    claimed = None
    if claim is not None and starts_now:
        row = connection.execute(_CLAIM, {"claimer": session.id, **wanted}).first()
        claimed = row and driver_of(row)
    if claimed is not None:
        session = write_session(
            connection, session, driver=claimed.id, first_repl=claimed.first_repl
        )
    else:
        phase = driver.phase if starts_now else DriverPhase.QUEUED
        values = {**dataclasses.asdict(driver), "phase": phase}
        connection.execute(insert(DRIVERS).values(values))
        if claim is not None:
            session = write_session(connection, session, tags={**session.tags, **claim.missed})
    first = new_repl(session.first_repl, session, at=session.created_at)
    add_repl(connection, first)
    return session, first


def occupancy(
    connection: Connection,
    *,
    has_lakehouse: bool = True,
    has_environment: bool = True,
    has_driver: bool = False,
) -> Occupancy:
    """Return what a session finds that is to get a driver, inside of a transaction."""
    row = connection.execute(_OCCUPANCY).one()
    return Occupancy(
        **row._asdict(),
        has_lakehouse=has_lakehouse,
        has_environment=has_environment,
        has_driver=has_driver,
    )


def hold_version(connection: Connection, version: EnvironmentVersionId | None) -> bool:
    """Keep the record of an environment's version for this transaction; False if it is gone."""
    if version is None:
        return True
    hold = (
        update(ENVIRONMENT_VERSIONS)
        .where(ENVIRONMENT_VERSIONS.c.id == version)
        .values(id=ENVIRONMENT_VERSIONS.c.id)
    )
    return connection.execute(hold).rowcount == 1


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
        stopped = write_session(connection, session_of(row), **changes)
        connection.execute(_END_DRIVER, {"of": stopped.driver})
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
    write_session(connection, stopped, end_cause=EndCause.IDLE, end_reason=reason(stopped))
    connection.execute(_END_DRIVER, {"of": stopped.driver})
    return True


def move_session(
    connection: Connection, session: SessionId, event: Event, at: datetime
) -> Session | None:
    """Apply an event, inside of a transaction; None if the session's phase does not allow it.

    The moment, and what is derived from the phase, are the caller's to write.
    """
    row = connection.execute(_MOVES[event], {"of": session}).first()
    if row is None:
        return None
    moved = session_of(row)
    return dataclasses.replace(moved, times={moved.phase: at, **moved.times})


def open_repl(connection: Connection, repl: ReplId) -> None:
    """Note that a driver has opened its first repl, inside of a transaction."""
    connection.execute(_OPEN_REPL, {"of": repl})


def close_repls(connection: Connection, session: SessionId, *, at: datetime) -> None:
    """Close all repls of a session that ends, inside of its transaction."""
    connection.execute(_CLOSE_REPLS, {"of": session, "at": at})


def write_session(connection: Connection, held: Session, **changes: Any) -> Session:
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
