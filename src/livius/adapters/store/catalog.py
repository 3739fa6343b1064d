"""Workspaces, lakehouses and roles, in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    insert,
    or_,
    select,
    union,
    union_all,
    update,
)

from livius.adapters.store.audit import write, write_if
from livius.adapters.store.engine import Transactions
from livius.adapters.store.names import is_name_taken, name_key
from livius.adapters.store.repls import find_repl
from livius.adapters.store.rows import lakehouse_of, workspace_of
from livius.adapters.store.schema import (
    DELETED_LAKEHOUSES,
    ENVIRONMENTS,
    LAKEHOUSES,
    ROLES,
    SESSIONS,
    WORKSPACES,
)
from livius.adapters.store.sessions import find_session, stop_session
from livius.adapters.store.spark_settings import delete_spark_configuration
from livius.domain.audit import AuditEntry
from livius.domain.ids import LakehouseId, PrincipalId, ReplId, SessionId, WorkspaceId
from livius.domain.lakehouse import MAY_RUN, Lakehouse, Role, RoleAssignment, Workspace
from livius.domain.session import LIVE, EndCause, Session
from livius.ports.catalog import Found, LakehouseAccess, Outcome

# Every request runs these queries: built once, they cost a third.
_WORKSPACE = select(WORKSPACES).where(WORKSPACES.c.id == bindparam("workspace"))
_LAKEHOUSE = select(LAKEHOUSES).where(LAKEHOUSES.c.id == bindparam("lakehouse"))
_ROLE = select(ROLES.c.role).where(
    ROLES.c.workspace == bindparam("workspace"), ROLES.c.principal == bindparam("principal")
)


def find_workspace(
    connection: Connection, workspace: WorkspaceId, principal: PrincipalId
) -> tuple[Workspace | None, Role | None]:
    """Return a workspace and a principal's role in it, inside of a transaction."""
    where = {"workspace": workspace, "principal": principal}
    found = connection.execute(_WORKSPACE, where).first()
    role = connection.execute(_ROLE, where).first()
    return workspace_of(found) if found else None, Role(role.role) if role else None


def _named(one: Workspace | Lakehouse) -> dict[str, Any]:
    """Return the row of something with a name."""
    return {**dataclasses.asdict(one), "name_key": name_key(one.name)}


def _archive(connection: Connection, row: Row[Any], *, at: datetime, by: str) -> None:
    """Record a deleted lakehouse, so that its database stays taken."""
    kept = {name: getattr(row, name) for name in ("id", "workspace", "name", "database")}
    connection.execute(insert(DELETED_LAKEHOUSES).values(**kept, deleted_at=at, deleted_by=by))


def _leaves_an_admin(workspace: str, principal: str) -> ColumnElement[bool]:
    """Return the condition under which a principal's role may end: a workspace has an Admin."""
    other = ROLES.alias()
    return or_(
        ROLES.c.role != Role.ADMIN,
        select(other.c.principal)
        .where(
            other.c.workspace == workspace,
            other.c.role == Role.ADMIN,
            other.c.principal != principal,
        )
        .exists(),
    )


def _given(*, name: str | None, description: str | None) -> dict[str, str]:
    """Return the columns to change."""
    values = {} if description is None else {"description": description}
    return values if name is None else {**values, "name": name, "name_key": name_key(name)}


class SqlCatalog:
    """Implements `livius.ports.store.Catalog`."""

    _transactions: Transactions
    _keep_audit: timedelta
    _places_version: Callable[[Connection], object]

    async def add_workspace(
        self, workspace: Workspace, admin: PrincipalId, *, audit: AuditEntry | None = None
    ) -> bool:
        """See the port."""

        def work(connection: Connection) -> bool:
            if is_name_taken(connection, WORKSPACES, workspace.name, but=workspace.id):
                return False
            connection.execute(insert(WORKSPACES).values(_named(workspace)))
            connection.execute(
                insert(ROLES).values(workspace=workspace.id, principal=admin, role=Role.ADMIN)
            )
            write(connection, audit, self._keep_audit)
            return True

        return await self._transactions.run(work, sees_taken=True)

    async def change_workspace(
        self,
        workspace: WorkspaceId,
        *,
        name: str | None = None,
        description: str | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """See the port."""
        change = (
            update(WORKSPACES)
            .where(WORKSPACES.c.id == workspace)
            .values(_given(name=name, description=description))
        )

        def work(connection: Connection) -> Outcome:
            if name is not None and is_name_taken(connection, WORKSPACES, name, but=workspace):
                return Outcome.TAKEN
            if connection.execute(change).rowcount == 0:
                return Outcome.MISSING
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work, sees_taken=True)

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
        """See the port."""
        gone = delete(WORKSPACES).where(WORKSPACES.c.id == workspace)
        live = select(SESSIONS.c.id).where(
            SESSIONS.c.workspace == workspace, SESSIONS.c.phase.in_(LIVE)
        )
        lakehouses = (
            delete(LAKEHOUSES).where(LAKEHOUSES.c.workspace == workspace).returning(LAKEHOUSES)
        )
        changes = {"deleted_at": at, "end_cause": EndCause.DELETED, "end_reason": reason}

        def work(connection: Connection) -> Sequence[SessionId] | None:
            found = (find_session(connection, row.id) for row in connection.execute(live).all())
            ended = [one for one in found if one is not None]
            for one in ended:
                stop_session(connection, one.id, audit_end(one), self._keep_audit, changes)
            for row in connection.execute(lakehouses).all():
                _archive(connection, row, at=at, by=by)
            for table in (ROLES, ENVIRONMENTS):
                connection.execute(delete(table).where(table.c.workspace == workspace))
            delete_spark_configuration(connection, workspace)
            if not write_if(
                connection.execute(gone).rowcount == 1, connection, audit, self._keep_audit
            ):
                return None
            return [one.id for one in ended]

        return await self._transactions.run(work)

    async def add_lakehouse(
        self, lakehouse: Lakehouse, *, audit: AuditEntry | None = None
    ) -> Outcome:
        """See the port."""
        names = union_all(
            *(
                select(table.c.id).where(table.c.database == lakehouse.database)
                for table in (LAKEHOUSES, DELETED_LAKEHOUSES)
            )
        )

        def work(connection: Connection) -> Outcome:
            where = {"workspace": lakehouse.workspace}
            if connection.execute(_WORKSPACE, where).first() is None:
                return Outcome.MISSING
            if is_name_taken(
                connection,
                LAKEHOUSES,
                lakehouse.name,
                but=lakehouse.id,
                workspace=lakehouse.workspace,
            ):
                return Outcome.TAKEN
            if connection.execute(names).first() is not None:
                return Outcome.DATABASE_TAKEN
            connection.execute(insert(LAKEHOUSES).values(_named(lakehouse)))
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work, sees_taken=True)

    async def change_lakehouse(
        self,
        lakehouse: LakehouseId,
        *,
        name: str | None = None,
        description: str | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """See the port."""
        key = LAKEHOUSES.c.id == lakehouse
        changed = update(LAKEHOUSES).where(key).values(_given(name=name, description=description))

        def work(connection: Connection) -> Outcome:
            row = connection.execute(select(LAKEHOUSES).where(key)).first()
            if row is None:
                return Outcome.MISSING
            if name is not None and is_name_taken(
                connection, LAKEHOUSES, name, but=lakehouse, workspace=row.workspace
            ):
                return Outcome.TAKEN
            connection.execute(changed)
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work, sees_taken=True)

    async def delete_lakehouse(
        self,
        lakehouse: LakehouseId,
        *,
        at: datetime,
        by: PrincipalId,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """See the port."""
        key = LAKEHOUSES.c.id == lakehouse
        in_use = (
            select(SESSIONS.c.id)
            .where(SESSIONS.c.lakehouse == lakehouse, SESSIONS.c.phase.in_(LIVE))
            .exists()
        )
        gone = delete(LAKEHOUSES).where(key, ~in_use).returning(LAKEHOUSES)

        def work(connection: Connection) -> Outcome:
            row = connection.execute(gone).first()
            if row is None:
                found = connection.execute(select(LAKEHOUSES.c.id).where(key)).first()
                return Outcome.MISSING if found is None else Outcome.IN_USE
            _archive(connection, row, at=at, by=by)
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work)

    async def workspace(self, workspace: WorkspaceId) -> Workspace | None:
        """See the port."""

        def work(connection: Connection) -> Workspace | None:
            row = connection.execute(select(WORKSPACES).where(WORKSPACES.c.id == workspace)).first()
            return workspace_of(row) if row else None

        return await self._transactions.run(work)

    async def find(
        self,
        workspace: WorkspaceId,
        lakehouse: LakehouseId,
        principal: PrincipalId,
        session: SessionId | None = None,
        repl: ReplId | None = None,
    ) -> Found:
        """See the port."""
        wanted = {"lakehouse": lakehouse}

        def work(connection: Connection) -> Found:
            place, role = find_workspace(connection, workspace, principal)
            other = connection.execute(_LAKEHOUSE, wanted).first()
            found = find_session(connection, session) if session else None
            which = repl or (found and found.first_repl)
            return Found(
                workspace=place,
                lakehouse=lakehouse_of(other) if other else None,
                role=role,
                session=found,
                repl=find_repl(connection, which) if which else None,
            )

        return await self._transactions.run(work)

    async def lakehouse_access_version(self) -> object:
        """See the port."""
        return await self._transactions.run(self._places_version)

    async def lakehouse_access(self) -> Sequence[LakehouseAccess]:
        """See the port."""
        query = (
            select(
                ROLES.c.principal,
                WORKSPACES.c.id.label("workspace"),
                WORKSPACES.c.name.label("workspace_name"),
                LAKEHOUSES.c.id.label("lakehouse"),
                LAKEHOUSES.c.name.label("lakehouse_name"),
                LAKEHOUSES.c.database,
                LAKEHOUSES.c.has_schemas,
            )
            .join_from(ROLES, WORKSPACES, ROLES.c.workspace == WORKSPACES.c.id)
            .join(LAKEHOUSES, LAKEHOUSES.c.workspace == WORKSPACES.c.id)
            .where(ROLES.c.role.in_(sorted(MAY_RUN)))
            .order_by(ROLES.c.principal, WORKSPACES.c.id, LAKEHOUSES.c.id)
        )
        return await self._transactions.run(
            lambda connection: [
                LakehouseAccess(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
                for row in connection.execute(query)
            ]
        )

    async def list_workspaces(self) -> Sequence[Workspace]:
        """See the port."""
        query = select(WORKSPACES).order_by(WORKSPACES.c.created_at, WORKSPACES.c.id)
        return await self._transactions.run(
            lambda connection: [workspace_of(row) for row in connection.execute(query)]
        )

    async def workspaces_of(self, principal: PrincipalId) -> Sequence[tuple[Workspace, Role]]:
        """See the port."""
        query = (
            select(WORKSPACES, ROLES.c.role)
            .join(ROLES, ROLES.c.workspace == WORKSPACES.c.id)
            .where(ROLES.c.principal == principal)
            .order_by(WORKSPACES.c.created_at, WORKSPACES.c.id)
        )

        def work(connection: Connection) -> Sequence[tuple[Workspace, Role]]:
            return [(workspace_of(row), Role(row.role)) for row in connection.execute(query)]

        return await self._transactions.run(work)

    async def lakehouse(self, lakehouse: LakehouseId) -> Lakehouse | None:
        """See the port."""

        def work(connection: Connection) -> Lakehouse | None:
            row = connection.execute(select(LAKEHOUSES).where(LAKEHOUSES.c.id == lakehouse)).first()
            return lakehouse_of(row) if row else None

        return await self._transactions.run(work)

    async def list_lakehouses(self, workspace: WorkspaceId) -> Sequence[Lakehouse]:
        """See the port."""
        query = (
            select(LAKEHOUSES)
            .where(LAKEHOUSES.c.workspace == workspace)
            .order_by(LAKEHOUSES.c.created_at, LAKEHOUSES.c.id)
        )
        return await self._transactions.run(
            lambda connection: [lakehouse_of(row) for row in connection.execute(query)]
        )

    async def database_names(self) -> frozenset[str]:
        """See the port."""
        query = union(select(LAKEHOUSES.c.database), select(DELETED_LAKEHOUSES.c.database))
        return await self._transactions.run(
            lambda connection: frozenset(row.database for row in connection.execute(query))
        )

    async def assign_role(
        self,
        assignment: RoleAssignment,
        *,
        has_role: bool | None = None,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """See the port."""
        where, who = assignment.workspace, assignment.principal
        key = {"workspace": where, "principal": who}
        change = (
            update(ROLES)
            .where(ROLES.c.workspace == where, ROLES.c.principal == who)
            .values(role=assignment.role)
        )
        if assignment.role is not Role.ADMIN:
            change = change.where(_leaves_an_admin(where, who))

        def work(connection: Connection) -> Outcome:
            if has_role is not False and connection.execute(change).rowcount == 1:
                write(connection, audit, self._keep_audit)
                return Outcome.DONE
            if connection.execute(_ROLE, key).first() is not None:
                return Outcome.TAKEN if has_role is False else Outcome.LAST_ADMIN
            if has_role or connection.execute(_WORKSPACE, key).first() is None:
                return Outcome.MISSING
            connection.execute(insert(ROLES).values(dataclasses.asdict(assignment)))
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work, sees_taken=True)

    async def role(self, workspace: WorkspaceId, principal: PrincipalId) -> Role | None:
        """See the port."""
        query = select(ROLES.c.role).where(
            ROLES.c.workspace == workspace, ROLES.c.principal == principal
        )

        def work(connection: Connection) -> Role | None:
            row = connection.execute(query).first()
            return Role(row.role) if row else None

        return await self._transactions.run(work)

    async def roles_in(self, workspace: WorkspaceId) -> Sequence[RoleAssignment]:
        """See the port."""
        query = select(ROLES).where(ROLES.c.workspace == workspace).order_by(ROLES.c.principal)

        def work(connection: Connection) -> Sequence[RoleAssignment]:
            return [
                RoleAssignment(
                    workspace=row.workspace, principal=row.principal, role=Role(row.role)
                )
                for row in connection.execute(query)
            ]

        return await self._transactions.run(work)

    async def remove_role(
        self,
        workspace: WorkspaceId,
        principal: PrincipalId,
        *,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """See the port."""
        key = {"workspace": workspace, "principal": principal}
        query = delete(ROLES).where(
            ROLES.c.workspace == workspace,
            ROLES.c.principal == principal,
            _leaves_an_admin(workspace, principal),
        )

        def work(connection: Connection) -> Outcome:
            if connection.execute(query).rowcount == 0:
                found = connection.execute(_ROLE, key).first()
                return Outcome.MISSING if found is None else Outcome.LAST_ADMIN
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work)
