"""Sessions and their drivers, in dictionaries."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fakes.store.records import Records
from livius.domain.audit import AuditEntry
from livius.domain.driver import Driver
from livius.domain.identity import Principal
from livius.domain.ids import (
    DriverId,
    LakehouseId,
    SessionId,
    WorkspaceId,
)
from livius.domain.session import ACCEPTING, FINAL, LIVE, STARTING, EndCause, Goal, Phase, Session
from livius.domain.session import Event as SessionEvent
from livius.domain.session import sources as session_sources
from livius.domain.statement import OPEN, Statement
from livius.domain.statement import Event as StatementEvent
from livius.ports.store import Occupancy, SessionEnd


class MemorySessions(Records):
    async def add_session(
        self,
        session: Session,
        driver: Driver,
        *,
        admit: Callable[[Occupancy], None] = lambda _: None,
        audit: AuditEntry | None = None,
    ) -> None:
        phases = [one.phase for one in self._sessions.values()]
        place = self._lakehouses.get(session.lakehouse)
        admit(
            Occupancy(
                drivers=sum(phase in LIVE for phase in phases),
                starting=sum(phase in STARTING for phase in phases),
                has_lakehouse=place is not None and place.workspace == session.workspace,
            )
        )
        self._write(audit)
        self._sessions[session.id] = session
        self._drivers[driver.id] = driver

    async def session(self, session: SessionId) -> Session | None:
        return self._sessions.get(session)

    async def session_of_driver(self, driver: DriverId) -> Session | None:
        return next((s for s in self._sessions.values() if s.driver == driver), None)

    async def list_sessions(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, *, skip: int, top: int
    ) -> tuple[Sequence[Session], int]:
        found = [
            session
            for session in self._sessions.values()
            if session.workspace == workspace
            and session.lakehouse == lakehouse
            and session.deleted_at is None
        ]
        found.sort(key=lambda session: session.id)
        found.sort(key=lambda session: session.created_at, reverse=True)
        return found[skip : skip + top], len(found)

    async def live_sessions(self) -> Sequence[SessionId]:
        return [session.id for session in self._sessions.values() if session.phase in LIVE]

    async def count_live(self) -> tuple[Mapping[str, int], int]:
        live = [session.phase for session in self._sessions.values() if session.phase in LIVE]
        opened = sum(statement.phase in OPEN for statement in self._statements.values())
        return {phase: live.count(phase) for phase in set(live)}, opened

    async def move_session(
        self, session: SessionId, event: SessionEvent, *, at: datetime, **changes: Any
    ) -> Session | None:
        present = self._sessions.get(session)
        if present is None or present.phase not in session_sources(event):
            return None
        moved = dataclasses.replace(present.after(event, at=at), **changes)
        self._sessions[session] = moved
        return moved

    async def end_session(
        self, session: SessionId, *, at: datetime, end: Callable[[Session], SessionEnd]
    ) -> tuple[Session, Sequence[Statement]] | None:
        present = self._sessions.get(session)
        if present is None or present.phase not in session_sources(SessionEvent.DRIVER_ENDED):
            return None
        leaves = end(present.after(SessionEvent.DRIVER_ENDED, at=at))
        ended = await self.move_session(
            session,
            SessionEvent.DRIVER_ENDED,
            at=at,
            end_cause=leaves.cause or present.end_cause,
            end_reason=leaves.reason or present.end_reason,
            log=leaves.log or present.log,
        )
        assert ended is not None
        abandoned = []
        for key, statement in sorted(self._statements.items()):
            if statement.session == session and statement.phase in OPEN:
                self._write(leaves.audit and leaves.audit.of_abandoned(statement.number))
                self._statements[key] = dataclasses.replace(
                    statement.after(StatementEvent.ABANDONED), ended_at=at, ending=leaves.ending
                )
                abandoned.append(self._statements[key])
        self._write(leaves.audit)
        driver = self._drivers[ended.driver]
        self._drivers[ended.driver] = dataclasses.replace(driver, ended_at=at)
        return ended, abandoned

    async def narrow_token_principal(self, session: SessionId, caller: Principal) -> None:
        present = self._sessions[session]
        self._sessions[session] = dataclasses.replace(
            present, token_principal=present.narrowed_by(caller)
        )

    async def annotate_session(self, session: SessionId, **changes: Any) -> None:
        present = self._sessions.get(session)
        if present is not None and present.phase in LIVE:
            self._sessions[session] = dataclasses.replace(present, **changes)

    async def request_stop(
        self,
        session: SessionId,
        *,
        only_in: frozenset[Phase] = frozenset(Phase),
        audit: AuditEntry | None = None,
        **changes: Any,
    ) -> Session | None:
        present = self._sessions.get(session)
        if present is None or present.phase not in only_in:
            return None
        if present.goal is Goal.RUN and present.phase in LIVE:
            wanted = dataclasses.replace(present, goal=Goal.STOP, **changes)
        elif present.deleted_at is None and "deleted_at" in changes:
            wanted = dataclasses.replace(present, deleted_at=changes["deleted_at"])
        else:
            wanted = present
        if wanted is not present:
            self._write(audit)
        self._sessions[session] = wanted
        return wanted

    async def set_effective_conf(self, session: SessionId, conf: Mapping[str, str]) -> None:
        if session in self._sessions:
            self._confs[session] = dict(conf)

    async def effective_conf(self, session: SessionId) -> Mapping[str, str]:
        return self._confs.get(session, {})

    async def touch(self, session: SessionId, *, at: datetime) -> bool:
        present = self._sessions.get(session)
        if present is None or present.goal is Goal.STOP or present.phase not in ACCEPTING:
            return False
        self._sessions[session] = dataclasses.replace(present, last_active_at=at)
        return True

    async def sessions_to_stop(self) -> Sequence[SessionId]:
        return [
            one.id
            for one in self._sessions.values()
            if one.phase in ACCEPTING and one.goal is Goal.STOP
        ]

    async def stop_idle(
        self, *, now: datetime, reason: Callable[[Session], str]
    ) -> Sequence[SessionId]:
        idle = [
            session
            for session in self._sessions.values()
            if session.phase is Phase.READY
            and session.goal is Goal.RUN
            and not self._is_busy(session.id)
            and session.last_active_at + session.idle_timeout <= now
        ]
        for one in idle:
            await self.request_stop(one.id, end_cause=EndCause.IDLE, end_reason=reason(one))
        return [one.id for one in idle]

    async def driver(self, driver: DriverId) -> Driver | None:
        return self._drivers.get(driver)

    async def set_driver_secret(self, driver: DriverId, secret_hash: str) -> None:
        self._drivers[driver] = dataclasses.replace(self._drivers[driver], secret_hash=secret_hash)

    async def ended_before(self, moment: datetime) -> Sequence[Session]:
        return [
            session
            for session in self._sessions.values()
            if session.phase in FINAL
            and session.times.get(session.phase, session.created_at) < moment
        ]

    async def remove_session(self, session: SessionId) -> None:
        present = self._sessions.get(session)
        if present is None or present.phase not in FINAL:
            return
        del self._sessions[session]
        del self._drivers[present.driver]
        self._confs.pop(session, None)
        self._jobs = {key: jobs for key, jobs in self._jobs.items() if key[0] != present.repl}
        self._statements = {
            key: statement
            for key, statement in self._statements.items()
            if statement.session != session
        }
