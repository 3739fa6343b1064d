"""The records of workspaces, lakehouses and roles: a part of the store, with its promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from livius.domain.audit import AuditEntry
from livius.domain.ids import LakehouseId, PrincipalId, SessionId, WorkspaceId
from livius.domain.lakehouse import Lakehouse, Role, RoleAssignment, Workspace
from livius.domain.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is of the things that a path names, and the caller's role; None: nothing."""

    workspace: Workspace | None
    lakehouse: Lakehouse | None
    role: Role | None
    session: Session | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LakehouseAccess:
    """A lakehouse with its names, and a principal that may run code in its workspace."""

    principal: PrincipalId
    workspace: WorkspaceId
    workspace_name: str
    lakehouse: LakehouseId
    lakehouse_name: str
    database: str


class Outcome(StrEnum):
    """What became of a change to the catalog. Only `DONE` is true, and only it changed anything."""

    DONE = "done"
    MISSING = "missing"
    """What is to be changed is not there, or not any more."""
    TAKEN = "taken"
    """Another one has the name, or the principal has a role already."""
    DATABASE_TAKEN = "database_taken"
    """A lakehouse has, or had, the database's name."""
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
        """Return a value that is another one after each change of `places`, whoever made it."""
        ...

    async def lakehouse_access(self) -> Sequence[LakehouseAccess]:
        """Return every lakehouse once for each principal that may run code there, in order."""
        ...

    async def add_workspace(
        self, workspace: Workspace, admin: PrincipalId, *, audit: AuditEntry | None = None
    ) -> bool:
        """Insert a workspace whose first admin is given; False if its name is another's."""
        ...

    async def change_workspace(
        self,
        workspace: WorkspaceId,
        *,
        name: str | None = None,
        description: str | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """Set what people see of a workspace; None leaves what it has.

        `Outcome.TAKEN` if the name is another's, in whatever case.
        """
        ...

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
        """Remove a workspace with its lakehouses and roles; None if there is none.

        In the same transaction each of its live sessions is wanted to stop for the reason, with a
        deletion mark and what the audit log is to say; they are returned. ``told`` is what it is
        to say of the workspace. What is said of a deleted lakehouse is true of each of its
        lakehouses.
        """
        ...

    async def add_lakehouse(
        self, lakehouse: Lakehouse, *, audit: AuditEntry | None = None
    ) -> Outcome:
        """Insert a lakehouse.

        `Outcome.TAKEN` if its name is taken in the workspace, in whatever case;
        `Outcome.DATABASE_TAKEN` if its database's name is, or was, another one's anywhere;
        `Outcome.MISSING` if its workspace is gone.
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
        """Set what people see of a lakehouse; None leaves what it has.

        `Outcome.TAKEN` if the name is another one's.
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

        Its database name stays taken for good: the metastore goes on to know the old tables.
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
    ) -> Found:
        """Return, at once, all that every request has to know of its path and its caller."""
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
        """Give a principal a role, in place of the one it has.

        With ``has_role``, only if it has one (else `Outcome.MISSING`), or only if it has none
        (else `Outcome.TAKEN`). `Outcome.MISSING` also if the workspace is gone;
        `Outcome.LAST_ADMIN` if the workspace would be without an Admin.
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
        """Take a principal's role away; `Outcome.MISSING` if it has none."""
        ...
