"""Statements and their Spark jobs, in dictionaries."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from fakes.store.sessions import MemorySessions
from livius.domain.audit import AuditEntry
from livius.domain.ids import (
    DriverId,
    ReplId,
    SessionId,
    StatementNumber,
)
from livius.domain.jobs import StatementJobs
from livius.domain.session import ACCEPTING, Goal
from livius.domain.statement import ACTIVE, OPEN, Ending, Event, Statement, sources
from livius.domain.statement import FINAL as STATEMENT_FINAL
from livius.domain.statement import Phase as StatementPhase
from livius.ports.store import NewStatement


class MemoryStatements(MemorySessions):
    def _of_repl(self, repl: ReplId) -> list[Statement]:
        found = [statement for statement in self._statements.values() if statement.repl == repl]
        return sorted(found, key=lambda statement: statement.number)

    async def add_statement(
        self, new: NewStatement, *, claim: bool, audit: AuditEntry | None = None
    ) -> Statement | None:
        session = self._sessions.get(new.session)
        if (
            session is None
            or session.goal is Goal.STOP
            or session.phase not in ACCEPTING
            or session.deleted_at is not None
        ):
            return None
        await self.touch(new.session, at=new.at)
        others = self._of_repl(new.repl)
        runs = claim and not any(statement.phase in OPEN for statement in others)
        statement = Statement(
            session=new.session,
            repl=new.repl,
            driver=new.driver,
            number=StatementNumber(len(others)),
            kind=new.kind,
            code=new.code,
            source_id=new.source_id,
            phase=StatementPhase.RUNNING if runs else StatementPhase.WAITING,
            created_at=new.at,
            started_at=new.at if runs else None,
        )
        self._write(audit and audit.of_statement(statement.number))
        self._statements[statement.repl, statement.number] = statement
        return statement

    async def claim_next(self, repl: ReplId, *, at: datetime) -> Statement | None:
        opened = [statement for statement in self._of_repl(repl) if statement.phase in OPEN]
        if not opened or any(statement.phase in ACTIVE for statement in opened):
            return None
        return await self.move_statement(repl, opened[0].number, Event.CLAIMED, at=at)

    async def statement(self, repl: ReplId, number: StatementNumber) -> Statement | None:
        return self._statements.get((repl, number))

    async def list_statements(
        self, repl: ReplId, *, skip: int | None, top: int, newest_first: bool = False
    ) -> tuple[Sequence[Statement], int]:
        found = self._of_repl(repl)
        first = max(0, len(found) - top) if skip is None else skip
        if newest_first:
            found = found[::-1]
        return found[first : first + top], len(found)

    async def open_statements(self, driver: DriverId) -> Sequence[Statement]:
        found = [
            statement
            for statement in self._statements.values()
            if statement.driver == driver and statement.phase in OPEN
        ]
        return sorted(found, key=lambda statement: (statement.repl, statement.number))

    async def busy(self, sessions: Sequence[SessionId]) -> frozenset[SessionId]:
        return frozenset(one for one in sessions if self._is_busy(one))

    async def move_statement(
        self,
        repl: ReplId,
        number: StatementNumber,
        event: Event,
        *,
        at: datetime,
        ending: Ending | None = None,
        audit: AuditEntry | None = None,
    ) -> Statement | None:
        present = self._statements.get((repl, number))
        if present is None or present.phase not in sources(event):
            return None
        moved = present.after(event)
        if moved.phase is StatementPhase.RUNNING:
            moved = dataclasses.replace(moved, started_at=at)
        if moved.phase in STATEMENT_FINAL:
            done = 1.0 if ending is not None and ending.ok else moved.progress
            moved = dataclasses.replace(moved, ended_at=at, ending=ending, progress=done)
            await self.touch(moved.session, at=at)
        self._write(audit and audit.of_statement(number))
        self._statements[repl, number] = moved
        return moved

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
        moved = await self.move_statement(repl, number, event, at=at, ending=ending, audit=audit)
        return moved, await self.claim_next(repl, at=at) if claim else None

    async def set_progress(self, repl: ReplId, number: StatementNumber, value: float) -> None:
        present = self._statements.get((repl, number))
        if present is not None and present.phase in ACTIVE:
            self._statements[repl, number] = dataclasses.replace(present, progress=value)

    async def set_jobs(self, repl: ReplId, number: StatementNumber, jobs: StatementJobs) -> None:
        if (repl, number) in self._statements:
            self._jobs[repl, number] = jobs

    async def jobs(self, repl: ReplId, number: StatementNumber) -> StatementJobs:
        return self._jobs.get((repl, number), StatementJobs())
