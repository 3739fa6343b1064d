"""Drivers, in SQL: their moves, their end, and the starter pool's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from livius.adapters.store.audit import write
from livius.adapters.store.engine import Transactions
from livius.adapters.store.moves import guarded
from livius.adapters.store.rows import driver_of
from livius.adapters.store.schema import DRIVERS, IS_OPEN, REPLS, SESSIONS, STATEMENTS
from livius.adapters.store.sessions import (
    close_repls,
    hold_version,
    move_session,
    occupancy,
    open_repl,
    write_session,
)
from livius.adapters.store.statements import abandon
from livius.domain.driver import LIVE, TRANSITIONS, Driver, Event, Goal, Owner, Phase
from livius.domain.ids import DriverId, SessionId
from livius.domain.repl import LIVE as LIVE_REPLS
from livius.domain.session import OF_DRIVER, Session
from livius.domain.session import Goal as SessionGoal
from livius.domain.session import Phase as SessionPhase
from livius.domain.statement import ACTIVE
from livius.ports.capacity import Occupancy
from livius.ports.store import DriverEnded, SessionEnd

_DRIVER = select(DRIVERS).where(DRIVERS.c.id == bindparam("of"))
_QUEUED = (DRIVERS.c.phase == Phase.QUEUED, DRIVERS.c.goal == Goal.RUN)
_QUEUE = (
    select(DRIVERS.c.id, DRIVERS.c.session)
    .where(*_QUEUED)
    .order_by(DRIVERS.c.created_at, DRIVERS.c.id)
)
_OF_POOL = (DRIVERS.c.owner == Owner.POOL, DRIVERS.c.phase.in_(LIVE))


_MOVES = {event: guarded(DRIVERS, TRANSITIONS, event) for event in Event}


class SqlDrivers:
    """Implements `livius.ports.store.Drivers`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def driver(self, driver: DriverId) -> Driver | None:
        """See the port."""
        return await self._transactions.run(lambda connection: find_driver(connection, driver))

    async def live_drivers(self) -> Sequence[Driver]:
        """See the port."""
        query = select(DRIVERS).where(DRIVERS.c.phase.in_(LIVE))
        return await self._transactions.run(lambda connection: _all(connection, query))

    async def drivers_to_end(self) -> Sequence[DriverId]:
        """See the port."""
        query = select(DRIVERS.c.id).where(
            DRIVERS.c.goal == Goal.END, DRIVERS.c.phase.in_(LIVE - {Phase.ENDING})
        )

        def work(connection: Connection) -> Sequence[DriverId]:
            return [DriverId(row.id) for row in connection.execute(query)]

        return await self._transactions.run(work)

    async def note_launch(self, driver: DriverId, secret_hash: str, *, at: datetime) -> None:
        """See the port."""
        values = {"secret_hash": secret_hash, "created_at": at}
        query = update(DRIVERS).where(DRIVERS.c.id == driver).values(values)
        await self._transactions.execute(query)

    async def move_driver(
        self, driver: DriverId, event: Event, *, at: datetime, **changes: Any
    ) -> tuple[Driver, Session | None] | None:
        """See the port."""

        def work(connection: Connection) -> tuple[Driver, Session | None] | None:
            row = connection.execute(_MOVES[event], {"of": driver}).first()
            if row is None:
                return None
            moved = driver_of(row)
            if moved.session is None or event not in OF_DRIVER:
                return moved, None
            session = move_session(connection, moved.session, OF_DRIVER[event], at)
            if session is None:
                return moved, None
            if session.phase is SessionPhase.READY:
                open_repl(connection, session.first_repl)
            return moved, write_session(connection, session, times=session.times, **changes)

        return await self._transactions.run(work)

    async def end_driver(
        self,
        driver: DriverId,
        *,
        at: datetime,
        reason: str | None,
        end: Callable[[Session], SessionEnd],
        instead: Driver | None = None,
    ) -> DriverEnded | None:
        """See the port."""

        def work(connection: Connection) -> DriverEnded | None:
            row = connection.execute(_MOVES[Event.ENDED], {"of": driver}).first()
            if row is None:
                return None
            connection.execute(
                update(DRIVERS).where(DRIVERS.c.id == driver).values(ended_at=at, end_reason=reason)
            )
            ended = dataclasses.replace(driver_of(row), ended_at=at, end_reason=reason)
            if ended.session is None:
                return DriverEnded(driver=ended)
            if instead is not None:
                other = dataclasses.replace(instead, session=ended.session)
                if _goes_on(connection, ended, other):
                    return DriverEnded(driver=ended, instead=other)
            session = move_session(connection, ended.session, OF_DRIVER[Event.ENDED], at)
            if session is None:
                return DriverEnded(driver=ended)
            left = end(session)
            session = write_session(
                connection,
                session,
                times=session.times,
                end_cause=left.cause or session.end_cause,
                end_reason=left.reason or session.end_reason,
                log=left.log or session.log,
            )
            close_repls(connection, session.id, at=at)
            abandoned = abandon(connection, session.id, at=at, ending=left.ending)
            if left.audit is not None:
                for one in abandoned:
                    write(connection, left.audit.of_abandoned(one.number), self._keep_audit)
                write(connection, left.audit, self._keep_audit)
            return DriverEnded(driver=ended, session=session, abandoned=abandoned)

        return await self._transactions.run(work)

    async def admit_next(
        self, has_room: Callable[[Occupancy], bool], *, at: datetime
    ) -> Driver | None:
        """See the port."""
        admitted = _MOVES[Event.ADMITTED].where(*_QUEUED).values(created_at=at)

        def work(connection: Connection) -> Driver | None:
            first = connection.execute(_QUEUE.limit(1)).first()
            if first is None or not has_room(occupancy(connection)):
                return None
            row = connection.execute(admitted, {"of": first.id}).first()
            return driver_of(row) if row else None

        return await self._transactions.run(work)

    async def queue(self) -> tuple[Sequence[SessionId], Occupancy | None]:
        """See the port."""

        def work(connection: Connection) -> tuple[Sequence[SessionId], Occupancy | None]:
            queue = [SessionId(row.session) for row in connection.execute(_QUEUE)]
            return queue, occupancy(connection) if queue else None

        return await self._transactions.run(work)

    async def end_pooled(self, driver: DriverId, *, reason: str | None = None) -> bool:
        """See the port."""
        query = (
            update(DRIVERS)
            .where(DRIVERS.c.id == driver, *_OF_POOL, DRIVERS.c.goal == Goal.RUN)
            .values(goal=Goal.END, end_reason=reason)
        )
        return await self._transactions.run(lambda c: c.execute(query).rowcount == 1)

    async def add_pooled(self, driver: Driver, *, most: int) -> bool:
        """See the port."""

        def work(connection: Connection) -> bool:
            # Inserted first: the others are counted when none can come between any more.
            connection.execute(insert(DRIVERS).values(dataclasses.asdict(driver)))
            number = connection.execute(
                select(func.count())
                .select_from(DRIVERS)
                .where(
                    *_OF_POOL,
                    DRIVERS.c.goal == Goal.RUN,
                    DRIVERS.c.fingerprint == driver.fingerprint,
                    DRIVERS.c.id != driver.id,
                )
            ).scalar_one()
            if number < most and hold_version(connection, driver.environment):
                return True
            connection.execute(delete(DRIVERS).where(DRIVERS.c.id == driver.id))
            return False

        return await self._transactions.run(work)

    async def pooled_ended_before(self, moment: datetime) -> Sequence[DriverId]:
        """See the port."""
        query = select(DRIVERS.c.id).where(
            DRIVERS.c.owner == Owner.POOL,
            DRIVERS.c.phase == Phase.ENDED,
            DRIVERS.c.ended_at < moment,
        )

        def work(connection: Connection) -> Sequence[DriverId]:
            return [DriverId(row.id) for row in connection.execute(query)]

        return await self._transactions.run(work)

    async def drivers_of(self, session: SessionId) -> Sequence[DriverId]:
        """See the port."""
        query = select(DRIVERS.c.id).where(DRIVERS.c.session == session)

        def work(connection: Connection) -> Sequence[DriverId]:
            return [DriverId(row.id) for row in connection.execute(query)]

        return await self._transactions.run(work)

    async def forget_pooled(self, driver: DriverId) -> None:
        """See the port."""
        await self._transactions.execute(
            delete(DRIVERS).where(
                DRIVERS.c.id == driver,
                DRIVERS.c.owner == Owner.POOL,
                DRIVERS.c.phase == Phase.ENDED,
            )
        )


def _goes_on(connection: Connection, ended: Driver, instead: Driver) -> bool:
    """Let a session that was to get a driver of the pool go on with a new one of its own.

    Not where code ran in the former one: no statement runs twice.
    """
    has_run = select(STATEMENTS.c.number).where(
        STATEMENTS.c.driver == ended.id, STATEMENTS.c.phase.in_(ACTIVE)
    )
    go_on = (
        update(SESSIONS)
        .where(
            SESSIONS.c.id == ended.session,
            SESSIONS.c.driver == ended.id,
            SESSIONS.c.phase == SessionPhase.REQUESTED,
            SESSIONS.c.goal == SessionGoal.RUN,
            ~has_run.exists(),
        )
        # What the first driver said of its end is not the session's.
        .values(driver=instead.id, end_reason=None, log=[])
    )
    if connection.execute(go_on).rowcount == 0:
        return False
    connection.execute(insert(DRIVERS).values(dataclasses.asdict(instead)))
    for table, goes_on in ((REPLS, REPLS.c.phase.in_(LIVE_REPLS)), (STATEMENTS, IS_OPEN)):
        connection.execute(
            update(table).where(table.c.driver == ended.id, goes_on).values(driver=instead.id)
        )
    return True


def find_driver(connection: Connection, driver: DriverId) -> Driver | None:
    """Return a driver, inside of a transaction."""
    row = connection.execute(_DRIVER, {"of": driver}).first()
    return driver_of(row) if row else None


def _all(connection: Connection, query: Any) -> Sequence[Driver]:
    return [driver_of(row) for row in connection.execute(query)]
