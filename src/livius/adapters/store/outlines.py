"""Outlines of sessions, in SQL: read from two indexes alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Connection,
    Dialect,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    insert,
    select,
    tuple_,
    update,
)

from livius.adapters.store.engine import Transactions
from livius.adapters.store.rows import jobs_of, mark_of
from livius.adapters.store.schema import (
    HEAPS,
    IS_OPEN,
    SESSIONS,
    STATEMENT_JOBS,
    STATEMENTS,
    AnyText,
)
from livius.adapters.store.sessions import find_session
from livius.domain.ids import SessionId
from livius.domain.jobs import StatementJobs
from livius.domain.outline import Counts, Heap, JobCount, JobTotals, Outline, Run
from livius.domain.statement import Phase
from livius.ports.outlines import Key

_ONE: Final = STATEMENTS.c
_OF: Final[BindParameter[str]] = bindparam("of")
_HAS_FAILED: Final = and_(_ONE.phase == Phase.AVAILABLE.value, _ONE.ok == false())
_IS_CANCELLED: Final = _ONE.phase == Phase.CANCELLED.value
_TOTALS: Final = select(
    func.count(),
    func.coalesce(func.sum(case((_HAS_FAILED, 1), else_=0)), 0),
    func.coalesce(func.sum(case((_IS_CANCELLED, 1), else_=0)), 0),
).where(_ONE.session == _OF)
_MARKS: Final[Select[Any]] = (
    select(
        *(_ONE.repl, _ONE.number, _ONE.phase, _ONE.started_at, _ONE.ended_at),
        *(_ONE.ok, _ONE.row_count),
    )
    .where(_ONE.session == _OF)
    # Those that wait have no start: they are the last.
    .order_by(_ONE.started_at.is_(None).desc(), _ONE.started_at.desc(), _ONE.number.desc())
    .limit(bindparam("most"))
)
_JOB_COUNTS: Final = (
    select(
        *(STATEMENT_JOBS.c.repl, STATEMENT_JOBS.c.number, STATEMENT_JOBS.c.total),
        *(STATEMENT_JOBS.c.failed, STATEMENT_JOBS.c.cancelled),
    )
    .where(STATEMENT_JOBS.c.session == _OF)
    .order_by(STATEMENT_JOBS.c.repl, STATEMENT_JOBS.c.number)
)
_HEAP: Final = select(HEAPS.c.used, HEAPS.c.peak, HEAPS.c.most).where(HEAPS.c.session == _OF)
_COUNT: Final = select(func.count(), func.coalesce(func.sum(case((IS_OPEN, 1), else_=0)), 0)).where(
    _ONE.session == _OF
)
_JOB_TOTALS: Final = select(
    func.coalesce(func.sum(STATEMENT_JOBS.c.total), 0),
    func.coalesce(func.sum(STATEMENT_JOBS.c.failed), 0),
    func.coalesce(func.sum(STATEMENT_JOBS.c.cancelled), 0),
).where(STATEMENT_JOBS.c.session == _OF)


class _Head(AnyText):
    """The beginning of a text, which PostgreSQL may have cut within a character."""

    cache_ok = True

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        """Decode, where bytes are stored, and leave out a part of a character."""
        del dialect
        return bytes(value).decode(errors="ignore") if isinstance(value, bytes) else value


class SqlOutlines:
    """Implements `livius.ports.outlines.Outlines`."""

    _transactions: Transactions

    async def outline(self, session: SessionId, *, most: int) -> Outline:
        """See the port."""
        of = {"of": session}

        def work(connection: Connection) -> Outline:
            statements, failed, cancelled = connection.execute(_TOTALS, of).one()
            marks = [mark_of(row) for row in connection.execute(_MARKS, {**of, "most": most})]
            heap = connection.execute(_HEAP, of).first()
            return Outline(
                statements=statements,
                failed=failed,
                cancelled=cancelled,
                marks=marks[::-1],
                jobs=_job_totals(connection, session),
                heap=Heap(*heap) if heap else None,
            )

        return await self._transactions.run(work)

    async def job_counts(self, session: SessionId) -> Sequence[JobCount]:
        """See the port."""

        def work(connection: Connection) -> Sequence[JobCount]:
            rows = connection.execute(_JOB_COUNTS, {"of": session})
            return [JobCount(**row._asdict()) for row in rows]

        return await self._transactions.run(work)

    async def counts(self, session: SessionId) -> Counts:
        """See the port."""
        of = {"of": session}

        def work(connection: Connection) -> Counts:
            statements, of_them_open = connection.execute(_COUNT, of).one()
            jobs = _job_totals(connection, session).total
            return Counts(statements=statements, open=of_them_open, jobs=jobs)

        return await self._transactions.run(work)

    async def runs(
        self, sessions: Sequence[SessionId], *, most: int
    ) -> Mapping[SessionId, Sequence[Run]]:
        """See the port."""
        further = select(_ONE.number).where(_ONE.session == SESSIONS.c.id).offset(most).limit(1)
        few = select(SESSIONS.c.id).where(SESSIONS.c.id.in_(sessions), ~further.exists())
        query = select(_ONE.session, _ONE.started_at, _ONE.ended_at).where(
            _ONE.session.in_(few), _ONE.started_at.is_not(None)
        )

        def work(connection: Connection) -> Mapping[SessionId, Sequence[Run]]:
            found = defaultdict[SessionId, list[Run]](list)
            for session, started_at, ended_at in connection.execute(query):
                found[SessionId(session)].append(Run(started_at, ended_at))
            return found

        return await self._transactions.run(work)

    async def jobs_of(self, statements: Sequence[Key]) -> Mapping[Key, StatementJobs]:
        """See the port."""
        table = STATEMENT_JOBS.c
        query = select(table.repl, table.number, table.jobs).where(
            tuple_(table.repl, table.number).in_(list(statements))
        )

        def work(connection: Connection) -> Mapping[Key, StatementJobs]:
            return {(row.repl, row.number): jobs_of(row.jobs) for row in connection.execute(query)}

        return await self._transactions.run(work)

    async def heads_of_code(self, statements: Sequence[Key], *, size: int) -> Mapping[Key, str]:
        """See the port."""
        head = func.substr(_ONE.code, 1, size, type_=_Head()).label("head")
        query = select(_ONE.repl, _ONE.number, head).where(
            tuple_(_ONE.repl, _ONE.number).in_(list(statements))
        )

        def work(connection: Connection) -> Mapping[Key, str]:
            return {(row.repl, row.number): row.head for row in connection.execute(query)}

        return await self._transactions.run(work)

    async def set_heap(self, session: SessionId, *, used: int, limit: int) -> None:
        """See the port."""
        peak = case((HEAPS.c.peak < used, used), else_=HEAPS.c.peak)

        def work(connection: Connection) -> None:
            changed = connection.execute(
                update(HEAPS)
                .where(HEAPS.c.session == session)
                .values(used=used, peak=peak, most=limit)
            )
            if changed.rowcount == 0 and find_session(connection, session) is not None:
                connection.execute(
                    insert(HEAPS).values(session=session, used=used, peak=used, most=limit)
                )

        await self._transactions.run(work)


def _job_totals(connection: Connection, session: SessionId) -> JobTotals:
    found = connection.execute(_JOB_TOTALS, {"of": session}).one()
    # PostgreSQL's sum of large integers is a decimal number.
    return JobTotals(*map(int, found))
