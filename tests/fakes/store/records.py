"""What the parts have in common."""

from collections.abc import Mapping

from livius.domain.audit import AuditEntry, AuditRecord
from livius.domain.driver import Driver
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
from livius.domain.lakehouse import Lakehouse, Role, Workspace
from livius.domain.personal_token import PersonalToken
from livius.domain.portal_session import PortalSession
from livius.domain.session import Session
from livius.domain.statement import OPEN, Statement


class Records:
    """The records, and the audit log that every part writes to."""

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
        self._portal_sessions: dict[str, PortalSession] = {}

    def _is_busy(self, session: SessionId) -> bool:
        return any(
            statement.session == session and statement.phase in OPEN
            for statement in self._statements.values()
        )

    def _write(self, entry: AuditEntry | None) -> None:
        if entry is not None:
            self._audit.append(AuditRecord(number=len(self._audit) + 1, entry=entry))

    def _write_if(self, done: bool, audit: AuditEntry | None) -> bool:
        if done:
            self._write(audit)
        return done
