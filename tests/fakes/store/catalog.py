"""Workspaces, lakehouses and roles, in dictionaries."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime

from fakes.store.sessions import MemorySessions
from livius.domain.audit import AuditEntry
from livius.domain.ids import (
    LakehouseId,
    PrincipalId,
    SessionId,
    WorkspaceId,
)
from livius.domain.lakehouse import MAY_RUN, Lakehouse, Role, RoleAssignment, Workspace
from livius.domain.session import LIVE, EndCause, Session
from livius.ports.catalog import Found, LakehouseAccess, Outcome


class MemoryCatalog(MemorySessions):
    def forget_places(self) -> None:
        for records in (self._workspaces, self._lakehouses, self._databases):
            records.clear()

    async def add_workspace(
        self, workspace: Workspace, admin: PrincipalId, *, audit: AuditEntry | None = None
    ) -> bool:
        if self._is_workspace_taken(workspace.name, but=workspace.id):
            return False
        self._write(audit)
        self._workspaces[workspace.id] = workspace
        self._roles[workspace.id, admin] = Role.ADMIN
        return True

    def _is_workspace_taken(self, name: str, *, but: WorkspaceId) -> bool:
        others = [one for one in self._workspaces.values() if one.id != but]
        return any(one.name.lower() == name.lower() for one in others)

    async def change_workspace(
        self,
        workspace: WorkspaceId,
        *,
        name: str | None = None,
        description: str | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        present = self._workspaces.get(workspace)
        if name is not None and self._is_workspace_taken(name, but=workspace):
            return Outcome.TAKEN
        if present is None:
            return Outcome.MISSING
        self._workspaces[workspace] = dataclasses.replace(
            present,
            name=present.name if name is None else name,
            description=present.description if description is None else description,
        )
        self._write(audit)
        return Outcome.DONE

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
            await self.request_stop(
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

    async def add_lakehouse(
        self, lakehouse: Lakehouse, *, audit: AuditEntry | None = None
    ) -> Outcome:
        if lakehouse.workspace not in self._workspaces:
            return Outcome.MISSING
        if self._is_taken(lakehouse.workspace, lakehouse.name, but=lakehouse.id):
            return Outcome.TAKEN
        if lakehouse.database in self._databases:
            return Outcome.DATABASE_TAKEN
        self._lakehouses[lakehouse.id] = lakehouse
        self._databases.add(lakehouse.database)
        self._lakehouse_names[lakehouse.id] = lakehouse.name
        self._write(audit)
        return Outcome.DONE

    def _is_taken(self, workspace: WorkspaceId, name: str, *, but: LakehouseId) -> bool:
        return any(
            one.workspace == workspace and one.name.lower() == name.lower() and one.id != but
            for one in self._lakehouses.values()
        )

    async def change_lakehouse(
        self,
        lakehouse: LakehouseId,
        *,
        name: str | None = None,
        description: str | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        present = self._lakehouses.get(lakehouse)
        if present is None:
            return Outcome.MISSING
        if name is not None and self._is_taken(present.workspace, name, but=lakehouse):
            return Outcome.TAKEN
        changed = dataclasses.replace(
            present,
            name=present.name if name is None else name,
            description=present.description if description is None else description,
        )
        self._lakehouses[lakehouse] = changed
        self._lakehouse_names[lakehouse] = changed.name
        self._write(audit)
        return Outcome.DONE

    async def delete_lakehouse(
        self,
        lakehouse: LakehouseId,
        *,
        at: datetime,
        by: PrincipalId,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        del at, by
        if lakehouse not in self._lakehouses:
            return Outcome.MISSING
        if any(s.lakehouse == lakehouse and s.phase in LIVE for s in self._sessions.values()):
            return Outcome.IN_USE
        del self._lakehouses[lakehouse]
        self._write(audit)
        return Outcome.DONE

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

    async def lakehouse_access_version(self) -> object:
        return tuple(await self.lakehouse_access())

    async def lakehouse_access(self) -> Sequence[LakehouseAccess]:
        return sorted(
            (
                LakehouseAccess(
                    principal=principal,
                    workspace=workspace,
                    workspace_name=self._workspaces[workspace].name,
                    lakehouse=lakehouse.id,
                    lakehouse_name=lakehouse.name,
                    database=lakehouse.database,
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
        self,
        assignment: RoleAssignment,
        *,
        has_role: bool | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        where, who = assignment.workspace, assignment.principal
        has_now = (where, who) in self._roles
        if has_role is not None and has_role != has_now:
            return Outcome.TAKEN if has_now else Outcome.MISSING
        if where not in self._workspaces:
            return Outcome.MISSING
        if assignment.role is not Role.ADMIN and self._is_only_admin(where, who):
            return Outcome.LAST_ADMIN
        self._roles[where, who] = assignment.role
        self._write(audit)
        return Outcome.DONE

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
    ) -> Outcome:
        if self._is_only_admin(workspace, principal):
            return Outcome.LAST_ADMIN
        if self._roles.pop((workspace, principal), None) is None:
            return Outcome.MISSING
        self._write(audit)
        return Outcome.DONE
