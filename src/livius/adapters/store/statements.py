"""Statements, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Update,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from livius.adapters.store.audit import write
from livius.adapters.store.engine import Transactions
from livius.adapters.store.idempotency import refuse_repeat, remember
from livius.adapters.store.rows import (
    ending_columns,
    jobs_columns,
    jobs_of,
    statement_of,
    statement_row,
)
from livius.adapters.store.schema import IS_OPEN, REPLS, SESSIONS, STATEMENT_JOBS, STATEMENTS
from livius.domain.audit import AuditEntry
from livius.domain.ids import DriverId, ReplId, SessionId, StatementNumber
from livius.domain.jobs import StatementJobs
from livius.domain.repl import ACCEPTING as REPL_ACCEPTING
from livius.domain.repl import Phase as ReplPhase
from livius.domain.session import ACCEPTING, Goal
from livius.domain.statement import (
    ACTIVE,
    FINAL,
    TRANSITIONS,
    Ending,
    Event,
    Phase,
    Statement,
    sources,
)
from livius.ports.store import NewStatement

_OF_REPL = STATEMENTS.c.repl == bindparam("of")

# Every statement runs these: made once, they cost a third of what they would cost made each time.
_TOUCH = (
    update(SESSIONS)
    .where(SESSIONS.c.id == bindparam("of"))
    .values(last_active_at=bindparam("at", type_=SESSIONS.c.last_active_at.type))
)
_ACCEPT = _TOUCH.where(
    SESSIONS.c.goal == Goal.RUN,
    SESSIONS.c.phase.in_(ACCEPTING),
    SESSIONS.c.deleted_at.is_(None),
)
_LAST = select(
    select(func.max(STATEMENTS.c.number)).where(_OF_REPL).scalar_subquery(),
    select(STATEMENTS.c.number).where(_OF_REPL, IS_OPEN).exists(),
    select(REPLS.c.phase).where(REPLS.c.id == bindparam("of")).scalar_subquery(),
    # Not the caller's: its driver may have been replaced meanwhile.
    select(REPLS.c.driver).where(REPLS.c.id == bindparam("of")).scalar_subquery(),
)
_INSERT = insert(STATEMENTS)
_STATEMENT = select(STATEMENTS).where(_OF_REPL, STATEMENTS.c.number == bindparam("number"))


def _guarded(event: Event, to: Phase) -> Update:
    """Return the update that an event is, from all the phases in which it leads to this one."""
    leaves = sorted(phase for phase in sources(event) if TRANSITIONS[phase][event] is to)
    step = (
        update(STATEMENTS)
        # Written out, not bound: a list of values would be put into the text at each run.
        .where(STATEMENTS.c.phase.in_([literal_column(f"'{phase}'") for phase in leaves]))
        .values(phase=to)
        .returning(STATEMENTS)
    )
    if event is Event.CANCEL_REQUESTED:
        step = step.values(cancelled_by=bindparam("by", type_=STATEMENTS.c.cancelled_by.type))
    if to is Phase.RUNNING:
        step = step.values(started_at=bindparam("at", type_=STATEMENTS.c.started_at.type))
    if to in FINAL:
        step = step.values(
            ended_at=bindparam("at", type_=STATEMENTS.c.ended_at.type),
            ending=bindparam("ending", type_=STATEMENTS.c.ending.type),
            ok=bindparam("ok", type_=STATEMENTS.c.ok.type),
            row_count=bindparam("row_count", type_=STATEMENTS.c.row_count.type),
            progress=func.coalesce(bindparam("progress"), STATEMENTS.c.progress),
        )
    return step


_STEPS = {
    event: {
        to: _guarded(event, to).where(_OF_REPL, STATEMENTS.c.number == bindparam("which"))
        for to in dict.fromkeys(TRANSITIONS[phase][event] for phase in sorted(sources(event)))
    }
    for event in Event
}
# Of the open ones the first is the active one, where there is one.
_CLAIM = _guarded(Event.CLAIMED, Phase.RUNNING).where(
    _OF_REPL,
    STATEMENTS.c.number
    == select(func.min(STATEMENTS.c.number))
    .where(_OF_REPL, IS_OPEN)
    .correlate(None)
    .scalar_subquery(),
    select(REPLS.c.id)
    .where(REPLS.c.id == bindparam("of"), REPLS.c.phase == ReplPhase.OPEN)
    .exists(),
)
_ABANDON = _guarded(Event.ABANDONED, Phase.AVAILABLE).where(STATEMENTS.c.session == bindparam("of"))
_ABANDON_IN_REPL = _guarded(Event.ABANDONED, Phase.AVAILABLE).where(_OF_REPL, IS_OPEN)


class SqlStatements:
    """Implements `livius.ports.store.Statements`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def add_statement(
        self, new: NewStatement, *, claim: bool, audit: AuditEntry | None = None
    ) -> Statement | None:
        """See the port."""

        def work(connection: Connection) -> Statement | None:
            refuse_repeat(connection, new.key)
            accepted = connection.execute(_ACCEPT, {"of": new.session, "at": new.at})
            if accepted.rowcount == 0:
                return None
            last, is_busy, phase, driver = connection.execute(_LAST, {"of": new.repl}).one()
            if phase not in REPL_ACCEPTING:
                return None
            runs = claim and not is_busy and phase == ReplPhase.OPEN
            statement = Statement(
                session=new.session,
                repl=new.repl,
                driver=driver,
                number=StatementNumber(0 if last is None else last + 1),
                kind=new.kind,
                code=new.code,
                source_id=new.source_id,
                phase=Phase.RUNNING if runs else Phase.WAITING,
                created_at=new.at,
                started_at=new.at if runs else None,
            )
            connection.execute(_INSERT, statement_row(statement))
            remember(connection, new.key, new.session, str(statement.number))
            if audit is not None:
                write(connection, audit.of_statement(statement.number), self._keep_audit)
            return statement

        return await self._transactions.run(work, sees_taken=new.key is not None)

    async def claim_next(self, repl: ReplId, *, at: datetime) -> Statement | None:
        """See the port."""
        return await self._transactions.run(lambda connection: _claim(connection, repl, at))

    async def statement(self, repl: ReplId, number: StatementNumber) -> Statement | None:
        """See the port."""
        return await self._transactions.run(lambda connection: _find(connection, repl, number))

    async def list_statements(
        self, repl: ReplId, *, skip: int | None, top: int, newest_first: bool = False
    ) -> tuple[Sequence[Statement], int]:
        """See the port."""
        of_repl = STATEMENTS.c.repl == repl
        number = STATEMENTS.c.number
        page = select(STATEMENTS).where(of_repl).order_by(number.desc() if newest_first else number)

        def work(connection: Connection) -> tuple[Sequence[Statement], int]:
            total = connection.execute(select(func.count()).where(of_repl)).scalar_one()
            first = max(0, total - top) if skip is None else skip
            return _all(connection, page.offset(first).limit(top)), total

        return await self._transactions.run(work)

    async def open_statements(self, driver: DriverId) -> Sequence[Statement]:
        """See the port."""
        query = (
            select(STATEMENTS)
            .where(STATEMENTS.c.driver == driver, IS_OPEN)
            .order_by(STATEMENTS.c.repl, STATEMENTS.c.number)
        )
        return await self._transactions.run(lambda connection: _all(connection, query))

    async def open_numbers(self, session: SessionId) -> Sequence[tuple[ReplId, StatementNumber]]:
        """See the port."""
        query = (
            select(STATEMENTS.c.repl, STATEMENTS.c.number)
            .where(STATEMENTS.c.session == session, IS_OPEN)
            .order_by(STATEMENTS.c.repl, STATEMENTS.c.number)
        )

        def work(connection: Connection) -> Sequence[tuple[ReplId, StatementNumber]]:
            return [
                (ReplId(row.repl), StatementNumber(row.number)) for row in connection.execute(query)
            ]

        return await self._transactions.run(work)

    async def busy(self, sessions: Sequence[SessionId]) -> frozenset[SessionId]:
        """See the port."""
        query = (
            select(STATEMENTS.c.session)
            .where(STATEMENTS.c.session.in_(sessions), IS_OPEN)
            .distinct()
        )

        def work(connection: Connection) -> frozenset[SessionId]:
            return frozenset(SessionId(row.session) for row in connection.execute(query))

        return await self._transactions.run(work)

    async def move_statement(
        self,
        repl: ReplId,
        number: StatementNumber,
        event: Event,
        *,
        at: datetime,
        ending: Ending | None = None,
        by: str | None = None,
        audit: AuditEntry | None = None,
    ) -> Statement | None:
        """See the port."""
        return await self._transactions.run(
            lambda connection: self._step(connection, repl, number, event, at, ending, audit, by)
        )

    async def end_statement(
        self,
        repl: ReplId,
        number: StatementNumber,
        event: Event,
        *,
        at: datetime,
        ending: Ending,
        audit: AuditEntry,
        claim: bool,
    ) -> tuple[Statement | None, Statement | None]:
        """See the port."""

        def work(connection: Connection) -> tuple[Statement | None, Statement | None]:
            moved = self._step(connection, repl, number, event, at, ending, audit)
            return moved, _claim(connection, repl, at) if claim else None

        return await self._transactions.run(work)

    def _step(
        self,
        connection: Connection,
        repl: ReplId,
        number: StatementNumber,
        event: Event,
        at: datetime,
        ending: Ending | None,
        audit: AuditEntry | None,
        by: str | None = None,
    ) -> Statement | None:
        moved = _move(connection, repl, number, event, at, ending, by)
        if moved is not None and audit is not None:
            write(connection, audit.of_statement(number), self._keep_audit)
        return moved

    async def set_progress(self, repl: ReplId, number: StatementNumber, value: float) -> None:
        """See the port."""
        query = (
            update(STATEMENTS)
            .where(STATEMENTS.c.repl == repl, STATEMENTS.c.number == number)
            .where(STATEMENTS.c.phase.in_(ACTIVE))
            .values(progress=value)
        )
        await self._transactions.execute(query)

    async def set_jobs(self, repl: ReplId, number: StatementNumber, jobs: StatementJobs) -> None:
        """See the port."""
        key = (STATEMENT_JOBS.c.repl == repl, STATEMENT_JOBS.c.number == number)

        def work(connection: Connection) -> None:
            statement = _find(connection, repl, number)
            if statement is None:
                return
            connection.execute(delete(STATEMENT_JOBS).where(*key))
            connection.execute(
                insert(STATEMENT_JOBS).values(
                    repl=repl, number=number, session=statement.session, **jobs_columns(jobs)
                )
            )

        await self._transactions.run(work)

    async def jobs(self, repl: ReplId, number: StatementNumber) -> StatementJobs:
        """See the port."""
        query = select(STATEMENT_JOBS.c.jobs).where(
            STATEMENT_JOBS.c.repl == repl, STATEMENT_JOBS.c.number == number
        )

        def work(connection: Connection) -> StatementJobs:
            return jobs_of(connection.execute(query).scalar())

        return await self._transactions.run(work)


def _find(connection: Connection, repl: ReplId, number: StatementNumber) -> Statement | None:
    row = connection.execute(_STATEMENT, {"of": repl, "number": number}).first()
    return statement_of(row) if row else None


def _claim(connection: Connection, repl: ReplId, at: datetime) -> Statement | None:
    row = connection.execute(_CLAIM, {"of": repl, "at": at}).first()
    return statement_of(row) if row else None


def _all(connection: Connection, query: Select[Any]) -> Sequence[Statement]:
    return [statement_of(row) for row in connection.execute(query)]


def _move(
    connection: Connection,
    repl: ReplId,
    number: StatementNumber,
    event: Event,
    at: datetime,
    ending: Ending | None,
    by: str | None,
) -> Statement | None:
    """Apply an event: the update itself names the phases that it may leave."""
    for to, step in _STEPS[event].items():
        values = {"of": repl, "which": number, **_values(to, at, ending)}
        if event is Event.CANCEL_REQUESTED:
            values["by"] = by
        row = connection.execute(step, values).first()
        if row is not None:
            moved = statement_of(row)
            if to in FINAL:
                connection.execute(_TOUCH, {"of": moved.session, "at": at})
            return moved
    return None


def _values(to: Phase, at: datetime, ending: Ending | None) -> dict[str, Any]:
    if to in FINAL:
        done = 1.0 if ending is not None and ending.ok else None
        return {"at": at, **ending_columns(ending), "progress": done}
    return {"at": at} if to is Phase.RUNNING else {}


def abandon(
    connection: Connection, session: SessionId, *, at: datetime, ending: Ending
) -> Sequence[Statement]:
    """End the open statements of a session that ends, inside its transaction; return them."""
    values = {"of": session, **_values(Phase.AVAILABLE, at, ending)}
    ended = [statement_of(row) for row in connection.execute(_ABANDON, values)]
    return sorted(ended, key=lambda one: (one.repl, one.number))


def abandon_in_repl(
    connection: Connection, repl: ReplId, *, at: datetime, ending: Ending
) -> Sequence[Statement]:
    """End the open statements of a repl that closes, inside its transaction; return them."""
    values = {"of": repl, **_values(Phase.AVAILABLE, at, ending)}
    ended = [statement_of(row) for row in connection.execute(_ABANDON_IN_REPL, values)]
    return sorted(ended, key=lambda one: one.number)
