"""The records of workspaces, lakehouses and roles: a part of the store, with its promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from livius.domain.audit import AuditEntry
from livius.domain.ids import LakehouseId, PrincipalId, ReplId, SessionId, WorkspaceId
from livius.domain.lakehouse import Lakehouse, Role, RoleAssignment, Workspace
from livius.domain.repl import Repl
from livius.domain.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The records that a path names, and the caller's role; None where there is none."""

    workspace: Workspace | None
    lakehouse: Lakehouse | None
    role: Role | None
    session: Session | None = None
    repl: Repl | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LakehouseAccess:
    """A lakehouse with its names, and a principal that may run code in its workspace."""

    principal: PrincipalId
    workspace: WorkspaceId
    workspace_name: str
    lakehouse: LakehouseId
    lakehouse_name: str
    database: str
    has_schemas: bool = False


class Outcome(StrEnum):
    """The outcome of a change to the catalog. Only `DONE` is true, and only it changed anything."""

    DONE = "done"
    MISSING = "missing"
    """There is no such record, or no longer."""
    TAKEN = "taken"
    """Another record has the name, or the principal has a role already."""
    DATABASE_TAKEN = "database_taken"
    """A lakehouse has, or had, the database's name."""
    FULL = "full"
    """There are as many already as there may be."""
    IN_USE = "in_use"
    """A live session is in it."""
    LAST_ADMIN = "last_admin"
    """The workspace would be without an Admin."""

    def __bool__(self) -> bool:
        """Tell whether the change was made."""
        return self is Outcome.DONE


class Catalog(Protocol):
    """Workspaces, lakehouses and roles."""

    async def lakehouse_access_version(self) -> object:
        """Return a value that differs after each change of `places`, by any process."""
        ...

    async def lakehouse_access(self) -> Sequence[LakehouseAccess]:
        """Return every lakehouse once for each principal that may run code there, in order."""
        ...

    async def add_workspace(
        self, workspace: Workspace, admin: PrincipalId, *, audit: AuditEntry | None = None
    ) -> bool:
        """Insert a workspace with its first admin; False if another workspace has the name."""
        ...

    async def change_workspace(
        self,
        workspace: WorkspaceId,
        *,
        name: str | None = None,
        description: str | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """Set the name and description of a workspace; None leaves the present value.

        `Outcome.TAKEN` if another workspace has the name, in any case.
        """
        ...

    async def delete_workspace(
        self,
        workspace: WorkspaceId,
        *,
        at: datetime,
        by: PrincipalId,
        reason: str,
        audit_end: Callable[[Session], AuditEntry],
        audit: AuditEntry | None = None,
    ) -> Sequence[SessionId] | None:
        """Remove a workspace with its lakehouses, environments and roles; None if there is none.

        The same transaction sets the goal of each live session to stop, with the reason and a
        deletion mark, and writes the entry that ``audit_end`` makes; these sessions are returned.
        Each of its lakehouses is deleted as by `delete_lakehouse`.
        """
        ...

    async def add_lakehouse(
        self, lakehouse: Lakehouse, *, audit: AuditEntry | None = None
    ) -> Outcome:
        """Insert a lakehouse.

        `Outcome.TAKEN` if its name is taken in the workspace, in any case; `Outcome.DATABASE_TAKEN`
        if its database's name is, or was, another one's anywhere; `Outcome.MISSING` if its
        workspace is gone.
        """
        ...

    async def change_lakehouse(
        self,
        lakehouse: LakehouseId,
        *,
        name: str | None = None,
        description: str | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """Set the name and description of a lakehouse; None leaves the present value.

        `Outcome.TAKEN` if another lakehouse has the name.
        """
        ...

    async def delete_lakehouse(
        self,
        lakehouse: LakehouseId,
        *,
        at: datetime,
        by: PrincipalId,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """Remove a lakehouse from the catalog; `Outcome.IN_USE` while it has a live session.

        Its database name stays taken for ever, because the metastore still has the old tables.
        """
        ...

    async def workspace(self, workspace: WorkspaceId) -> Workspace | None:
        """Return a workspace."""
        ...

    async def find(
        self,
        workspace: WorkspaceId,
        lakehouse: LakehouseId,
        principal: PrincipalId,
        session: SessionId | None = None,
        repl: ReplId | None = None,
    ) -> Found:
        """Return, in one transaction, the records that a request needs of its path and caller.

        With a session and no repl, the repl is the session's first one.
        """
        ...

    async def list_workspaces(self) -> Sequence[Workspace]:
        """Return all workspaces, oldest first."""
        ...

    async def workspaces_of(self, principal: PrincipalId) -> Sequence[tuple[Workspace, Role]]:
        """Return the workspaces in which a principal has a role, with it, oldest first."""
        ...

    async def lakehouse(self, lakehouse: LakehouseId) -> Lakehouse | None:
        """Return a lakehouse."""
        ...

    async def list_lakehouses(self, workspace: WorkspaceId) -> Sequence[Lakehouse]:
        """Return a workspace's lakehouses, oldest first."""
        ...

    async def database_names(self) -> frozenset[str]:
        """Return every database name that is or was a lakehouse's."""
        ...

    async def assign_role(
        self,
        assignment: RoleAssignment,
        *,
        has_role: bool | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """Assign a role to a principal, in place of its present one.

        With ``has_role``, only if it has one (else `Outcome.MISSING`), or only if it has none (else
        `Outcome.TAKEN`). `Outcome.MISSING` also if the workspace is gone; `Outcome.LAST_ADMIN` if
        the workspace would be without an Admin.
        """
        ...

    async def role(self, workspace: WorkspaceId, principal: PrincipalId) -> Role | None:
        """Return the principal's role in the workspace."""
        ...

    async def roles_in(self, workspace: WorkspaceId) -> Sequence[RoleAssignment]:
        """Return every role that is assigned in a workspace, in the order of the principals."""
        ...

    async def remove_role(
        self,
        workspace: WorkspaceId,
        principal: PrincipalId,
        *,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """Remove a principal's role; `Outcome.MISSING` if it has none."""
        ...
