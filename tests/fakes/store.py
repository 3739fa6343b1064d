"""The records in dictionaries. Held to the same contract tests as the real store."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from livius.domain.activity import Activity, Order, Position, activity_state, sorted_by
from livius.domain.audit import AuditEntry, AuditRecord
from livius.domain.driver import Driver
from livius.domain.identity import Principal
from livius.domain.ids import (
    DriverId,
    LakehouseId,
    PrincipalId,
    ReplId,
    SessionId,
    StatementNumber,
    WorkspaceId,
)
from livius.domain.jobs import StatementJobs
from livius.domain.lakehouse import MAY_RUN, Lakehouse, Role, RoleAssignment, Workspace
from livius.domain.personal_token import PersonalToken
from livius.domain.session import ACCEPTING, FINAL, LIVE, EndCause, Goal, Phase, Session
from livius.domain.session import Event as SessionEvent
from livius.domain.session import sources as session_sources
from livius.domain.statement import ACTIVE, OPEN, Ending, Event, Statement, sources
from livius.domain.statement import FINAL as STATEMENT_FINAL
from livius.domain.statement import Phase as StatementPhase
from livius.ports.store import ActivityQuery, AuditQuery, Found, NamedPlace, NewStatement


class MemoryStore:
    def __init__(self) -> None:
        self._sessions: dict[SessionId, Session] = {}
        self._drivers: dict[DriverId, Driver] = {}
        self._statements: dict[tuple[ReplId, StatementNumber], Statement] = {}
        self._workspaces: dict[WorkspaceId, Workspace] = {}
        self._lakehouses: dict[LakehouseId, Lakehouse] = {}
        self._databases: set[str] = set()
        self._audit: list[AuditRecord] = []
        self._jobs: dict[tuple[ReplId, StatementNumber], StatementJobs] = {}
        self._confs: dict[SessionId, Mapping[str, str]] = {}
        self._lakehouse_names: dict[LakehouseId, str] = {}
        self._roles: dict[tuple[WorkspaceId, PrincipalId], Role] = {}
        self._personal_tokens: dict[str, PersonalToken] = {}

    async def ping(self) -> None:
        return

    # Sessions

    async def add_session(
        self, session: Session, driver: Driver, *, audit: AuditEntry | None = None
    ) -> None:
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
        self,
        session: SessionId,
        *,
        at: datetime,
        ending: Ending,
        audit: AuditEntry | None = None,
        **changes: Any,
    ) -> Session | None:
        ended = await self.move_session(session, SessionEvent.DRIVER_ENDED, at=at, **changes)
        if ended is None:
            return None
        for key, statement in self._statements.items():
            if statement.session == session and statement.phase in OPEN:
                self._write(audit and audit.of_abandoned(statement.number))
                self._statements[key] = dataclasses.replace(
                    statement, phase=StatementPhase.AVAILABLE, ended_at=at, ending=ending
                )
        self._write(audit)
        driver = self._drivers[ended.driver]
        self._drivers[ended.driver] = dataclasses.replace(driver, ended_at=at)
        return ended

    async def take_code_of(self, session: SessionId, caller: Principal) -> None:
        present = self._sessions[session]
        self._sessions[session] = dataclasses.replace(
            present, acts_for=present.with_code_of(caller)
        )

    async def note_session(self, session: SessionId, **changes: Any) -> None:
        present = self._sessions.get(session)
        if present is not None and present.phase in LIVE:
            self._sessions[session] = dataclasses.replace(present, **changes)

    async def want_stop(
        self, session: SessionId, *, audit: AuditEntry | None = None, **changes: Any
    ) -> Session | None:
        present = self._sessions.get(session)
        if present is None:
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

    async def touch_session(self, session: SessionId, *, at: datetime) -> None:
        present = self._sessions.get(session)
        if present is not None:
            self._sessions[session] = dataclasses.replace(present, last_active_at=at)

    async def unwanted_sessions(self) -> Sequence[SessionId]:
        return [
            one.id
            for one in self._sessions.values()
            if one.phase in ACCEPTING and one.goal is Goal.STOP
        ]

    async def idle_sessions(self, *, now: datetime) -> Sequence[SessionId]:
        ready = [
            session
            for session in self._sessions.values()
            if session.phase is Phase.READY and session.goal is Goal.RUN
        ]
        busy = await self.busy([session.id for session in ready])
        return [
            session.id
            for session in ready
            if session.id not in busy and session.last_active_at + session.idle_timeout <= now
        ]

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

    # Audit

    def _write(self, entry: AuditEntry | None) -> None:
        if entry is not None:
            self._audit.append(AuditRecord(number=len(self._audit) + 1, entry=entry))

    async def note(self, *entries: AuditEntry) -> None:
        for entry in entries:
            self._write(entry)

    def _write_if(self, done: bool, audit: AuditEntry | None) -> bool:
        if done:
            self._write(audit)
        return done

    async def audit(self, query: AuditQuery) -> Sequence[AuditRecord]:
        found = [
            record
            for record in reversed(self._audit)
            if query.workspace in (None, record.entry.workspace)
            and query.action in (None, record.entry.action)
            and (query.since is None or record.entry.at >= query.since)
            and query.session in (None, record.entry.session)
            and (
                query.actor is None
                or (record.entry.actor is not None and record.entry.actor.id == query.actor)
            )
            and (query.before is None or record.number < query.before)
        ]
        return found[: query.limit]

    async def forget_audit(self, now: datetime) -> None:
        del now

    # Activities

    def _activity(self, session: Session) -> Activity:
        return Activity(
            session=session,
            state=activity_state(session),
            lakehouse_name=self._lakehouse_names.get(session.lakehouse, ""),
            workspace_name=(
                self._workspaces[session.workspace].name
                if session.workspace in self._workspaces
                else ""
            ),
        )

    async def activities(self, query: ActivityQuery) -> Sequence[Activity]:
        def is_wanted(one: Activity) -> bool:
            session = one.session
            created, ended = session.created_at, session.ended_at
            after = query.after
            return (
                session.workspace in query.workspaces
                and query.lakehouse in (None, session.lakehouse)
                and (query.states is None or one.state in query.states)
                and query.submitter in (None, session.submitter)
                and (query.submitted_from is None or created >= query.submitted_from)
                and (query.submitted_until is None or created <= query.submitted_until)
                and (query.ended_from is None or (ended is not None and ended >= query.ended_from))
                and (
                    query.ended_until is None or (ended is not None and ended <= query.ended_until)
                )
                and (query.text is None or query.text.lower() in session.name.lower())
                and (after is None or is_beyond(key(one), position(after)))
            )

        def key(one: Activity) -> tuple[Any, str]:
            is_time = query.order is Order.STARTED
            return (
                one.session.created_at if is_time else sorted_by(one, query.order),
                one.session.id,
            )

        def position(after: Position) -> tuple[Any, str]:
            return (after.created_at if query.order is Order.STARTED else after.key, after.id)

        def is_beyond(one: tuple[Any, str], end: tuple[Any, str]) -> bool:
            return one < end if query.descending else one > end

        found = [one for one in map(self._activity, self._sessions.values()) if is_wanted(one)]
        found.sort(key=key, reverse=query.descending)
        return found[: query.limit]

    async def activity(self, workspace: WorkspaceId, session: SessionId) -> Activity | None:
        found = self._sessions.get(session)
        return self._activity(found) if found and found.workspace == workspace else None

    async def first_started_at(self, session: SessionId) -> datetime | None:
        started = [
            statement.started_at
            for statement in self._statements.values()
            if statement.session == session and statement.started_at is not None
        ]
        return min(started, default=None)

    # Statements

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
        await self.touch_session(new.session, at=new.at)
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
        self, repl: ReplId, *, skip: int, top: int
    ) -> tuple[Sequence[Statement], int]:
        found = self._of_repl(repl)
        return found[skip : skip + top], len(found)

    async def open_statements(self, driver: DriverId) -> Sequence[Statement]:
        found = [
            statement
            for statement in self._statements.values()
            if statement.driver == driver and statement.phase in OPEN
        ]
        return sorted(found, key=lambda statement: (statement.repl, statement.number))

    async def busy(self, sessions: Sequence[SessionId]) -> frozenset[SessionId]:
        return frozenset(
            statement.session
            for statement in self._statements.values()
            if statement.session in sessions and statement.phase in OPEN
        )

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
        self._write(audit and audit.of_statement(number))
        moved = present.after(event)
        if moved.phase is StatementPhase.RUNNING:
            moved = dataclasses.replace(moved, started_at=at)
        if moved.phase in STATEMENT_FINAL:
            done = 1.0 if ending is not None and ending.ok else moved.progress
            moved = dataclasses.replace(moved, ended_at=at, ending=ending, progress=done)
            await self.touch_session(moved.session, at=at)
        self._statements[repl, number] = moved
        return moved

    async def set_progress(self, repl: ReplId, number: StatementNumber, value: float) -> None:
        present = self._statements.get((repl, number))
        if present is not None and present.phase in ACTIVE:
            self._statements[repl, number] = dataclasses.replace(present, progress=value)

    async def set_jobs(self, repl: ReplId, number: StatementNumber, jobs: StatementJobs) -> None:
        if (repl, number) in self._statements:
            self._jobs[repl, number] = jobs

    async def jobs(self, repl: ReplId, number: StatementNumber) -> StatementJobs:
        return self._jobs.get((repl, number), StatementJobs())

    # Catalog

    async def add_workspace(
        self, workspace: Workspace, admin: PrincipalId, *, audit: AuditEntry | None = None
    ) -> None:
        self._write(audit)
        self._workspaces[workspace.id] = workspace
        self._roles[workspace.id, admin] = Role.ADMIN

    async def change_workspace(
        self,
        workspace: WorkspaceId,
        *,
        name: str,
        description: str,
        audit: AuditEntry | None = None,
    ) -> bool:
        present = self._workspaces.get(workspace)
        others = [one for one in self._workspaces.values() if one.id != workspace]
        if present is None or any(one.name.lower() == name.lower() for one in others):
            return False
        changed = dataclasses.replace(present, name=name, description=description)
        self._workspaces[workspace] = changed
        self._write(audit)
        return True

    async def delete_workspace(
        self,
        workspace: WorkspaceId,
        *,
        at: datetime,
        by: PrincipalId,
        reason: str,
        audit: Callable[[Session], AuditEntry],
        told: AuditEntry | None = None,
    ) -> Sequence[SessionId] | None:
        del by
        live = [
            one
            for one in self._sessions.values()
            if one.workspace == workspace and one.phase in LIVE
        ]
        for one in live:
            await self.want_stop(
                one.id,
                audit=audit(one),
                deleted_at=at,
                end_cause=EndCause.DELETED,
                end_reason=reason,
            )
        for lakehouse in await self.list_lakehouses(workspace):
            del self._lakehouses[lakehouse.id]
        for key in [key for key in self._roles if key[0] == workspace]:
            del self._roles[key]
        if not self._write_if(self._workspaces.pop(workspace, None) is not None, told):
            return None
        return [one.id for one in live]

    async def add_lakehouse(self, lakehouse: Lakehouse, *, audit: AuditEntry | None = None) -> bool:
        if self._is_taken(lakehouse.workspace, lakehouse.name, but=lakehouse.id):
            return False
        if any(one.database == lakehouse.database for one in self._lakehouses.values()):
            return False
        self._lakehouses[lakehouse.id] = lakehouse
        self._databases.add(lakehouse.database)
        self._lakehouse_names[lakehouse.id] = lakehouse.name
        self._write(audit)
        return True

    def _is_taken(self, workspace: WorkspaceId, name: str, *, but: LakehouseId) -> bool:
        return any(
            one.workspace == workspace and one.name.lower() == name.lower() and one.id != but
            for one in self._lakehouses.values()
        )

    async def change_lakehouse(
        self,
        lakehouse: LakehouseId,
        *,
        name: str,
        description: str,
        audit: AuditEntry | None = None,
    ) -> bool:
        present = self._lakehouses.get(lakehouse)
        if present is None or self._is_taken(present.workspace, name, but=lakehouse):
            return False
        changed = dataclasses.replace(present, name=name, description=description)
        self._lakehouses[lakehouse] = changed
        self._lakehouse_names[lakehouse] = name
        self._write(audit)
        return True

    async def delete_lakehouse(
        self,
        lakehouse: LakehouseId,
        *,
        at: datetime,
        by: PrincipalId,
        audit: AuditEntry | None = None,
    ) -> bool:
        del at, by
        if any(s.lakehouse == lakehouse and s.phase in LIVE for s in self._sessions.values()):
            return False
        return self._write_if(self._lakehouses.pop(lakehouse, None) is not None, audit)

    async def workspaces_of(self, principal: PrincipalId) -> Sequence[tuple[Workspace, Role]]:
        return [
            (workspace, self._roles[workspace.id, principal])
            for workspace in await self.list_workspaces()
            if (workspace.id, principal) in self._roles
        ]

    async def workspace(self, workspace: WorkspaceId) -> Workspace | None:
        return self._workspaces.get(workspace)

    async def find(
        self,
        workspace: WorkspaceId,
        lakehouse: LakehouseId,
        principal: PrincipalId,
        session: SessionId | None = None,
    ) -> Found:
        return Found(
            workspace=self._workspaces.get(workspace),
            lakehouse=self._lakehouses.get(lakehouse),
            role=self._roles.get((workspace, principal)),
            session=self._sessions.get(session) if session is not None else None,
        )

    async def places(self) -> Sequence[NamedPlace]:
        return sorted(
            (
                NamedPlace(
                    principal=principal,
                    workspace=workspace,
                    workspace_name=self._workspaces[workspace].name,
                    lakehouse=lakehouse.id,
                    lakehouse_name=lakehouse.name,
                )
                for (workspace, principal), role in self._roles.items()
                for lakehouse in self._lakehouses.values()
                if lakehouse.workspace == workspace and role in MAY_RUN
            ),
            key=lambda place: (place.principal, place.workspace, place.lakehouse),
        )

    async def list_workspaces(self) -> Sequence[Workspace]:
        return sorted(self._workspaces.values(), key=lambda found: (found.created_at, found.id))

    async def lakehouse(self, lakehouse: LakehouseId) -> Lakehouse | None:
        return self._lakehouses.get(lakehouse)

    async def list_lakehouses(self, workspace: WorkspaceId) -> Sequence[Lakehouse]:
        found = [one for one in self._lakehouses.values() if one.workspace == workspace]
        return sorted(found, key=lambda one: (one.created_at, one.id))

    async def database_names(self) -> frozenset[str]:
        return frozenset(self._databases)

    async def assign_role(
        self, assignment: RoleAssignment, *, audit: AuditEntry | None = None
    ) -> bool:
        where, who = assignment.workspace, assignment.principal
        if assignment.role is not Role.ADMIN and self._is_only_admin(where, who):
            return False
        self._roles[where, who] = assignment.role
        self._write(audit)
        return True

    def _is_only_admin(self, workspace: WorkspaceId, principal: PrincipalId) -> bool:
        admins = [
            who
            for (where, who), role in self._roles.items()
            if where == workspace and role is Role.ADMIN
        ]
        return admins == [principal]

    async def role(self, workspace: WorkspaceId, principal: PrincipalId) -> Role | None:
        return self._roles.get((workspace, principal))

    async def roles_in(self, workspace: WorkspaceId) -> Sequence[RoleAssignment]:
        return [
            RoleAssignment(workspace=where, principal=who, role=role)
            for (where, who), role in sorted(self._roles.items())
            if where == workspace
        ]

    async def remove_role(
        self,
        workspace: WorkspaceId,
        principal: PrincipalId,
        *,
        audit: AuditEntry | None = None,
    ) -> bool:
        if self._is_only_admin(workspace, principal):
            return False
        return self._write_if(self._roles.pop((workspace, principal), None) is not None, audit)

    # Personal tokens

    async def add_personal_token(
        self, token: PersonalToken, *, audit: AuditEntry | None = None
    ) -> None:
        self._write(audit)
        self._personal_tokens[token.digest] = token

    async def personal_token(self, digest: str) -> PersonalToken | None:
        return self._personal_tokens.get(digest)

    async def list_personal_tokens(self) -> Sequence[PersonalToken]:
        return sorted(self._personal_tokens.values(), key=lambda one: (one.created_at, one.id))

    async def remove_personal_token(self, token: str, *, audit: AuditEntry | None = None) -> bool:
        found = [one for one in self._personal_tokens.values() if one.id == token]
        for one in found:
            del self._personal_tokens[one.digest]
        return self._write_if(bool(found), audit)
