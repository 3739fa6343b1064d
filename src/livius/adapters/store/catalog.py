"""Workspaces, lakehouses and roles, in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select

from livius.adapters.store.engine import Transactions
from livius.adapters.store.rows import lakehouse_of, workspace_of
from livius.adapters.store.schema import LAKEHOUSES, ROLES, WORKSPACES
from livius.adapters.store.sessions import find_session
from livius.domain.ids import LakehouseId, PrincipalId, SessionId, WorkspaceId
from livius.domain.lakehouse import MAY_RUN, Lakehouse, Role, RoleAssignment, Workspace
from livius.ports.store import Found, NamedPlace

# Every request runs these: made once, they cost a third of what they would cost made each time.
_WORKSPACE = select(WORKSPACES).where(WORKSPACES.c.id == bindparam("workspace"))
_LAKEHOUSE = select(LAKEHOUSES).where(LAKEHOUSES.c.id == bindparam("lakehouse"))
_ROLE = select(ROLES.c.role).where(
    ROLES.c.workspace == bindparam("workspace"), ROLES.c.principal == bindparam("principal")
)


class SqlCatalog:
    """Implements `livius.ports.store.Catalog`."""

    _transactions: Transactions

    async def add_workspace(self, workspace: Workspace, admin: PrincipalId) -> None:
        """See the port."""

        def work(connection: Connection) -> None:
            connection.execute(insert(WORKSPACES).values(dataclasses.asdict(workspace)))
            connection.execute(
                insert(ROLES).values(workspace=workspace.id, principal=admin, role=Role.ADMIN)
            )

        await self._transactions.run(work)

    async def add_lakehouse(self, lakehouse: Lakehouse) -> None:
        """See the port."""
        query = insert(LAKEHOUSES).values(dataclasses.asdict(lakehouse))
        await self._transactions.execute(query)

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
    ) -> Found:
        """See the port."""
        wanted = {"workspace": workspace, "lakehouse": lakehouse, "principal": principal}

        def work(connection: Connection) -> Found:
            one = connection.execute(_WORKSPACE, wanted).first()
            other = connection.execute(_LAKEHOUSE, wanted).first()
            role = connection.execute(_ROLE, wanted).first()
            return Found(
                workspace=workspace_of(one) if one else None,
                lakehouse=lakehouse_of(other) if other else None,
                role=Role(role.role) if role else None,
                session=find_session(connection, session) if session else None,
            )

        return await self._transactions.run(work)

    async def places(self) -> Sequence[NamedPlace]:
        """See the port."""
        query = (
            select(
                ROLES.c.principal,
                WORKSPACES.c.id.label("workspace"),
                WORKSPACES.c.name.label("workspace_name"),
                LAKEHOUSES.c.id.label("lakehouse"),
                LAKEHOUSES.c.name.label("lakehouse_name"),
            )
            .join_from(ROLES, WORKSPACES, ROLES.c.workspace == WORKSPACES.c.id)
            .join(LAKEHOUSES, LAKEHOUSES.c.workspace == WORKSPACES.c.id)
            .where(ROLES.c.role.in_(sorted(MAY_RUN)))
            .order_by(ROLES.c.principal, WORKSPACES.c.id, LAKEHOUSES.c.id)
        )
        return await self._transactions.run(
            lambda connection: [
                NamedPlace(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
                for row in connection.execute(query)
            ]
        )

    async def list_workspaces(self) -> Sequence[Workspace]:
        """See the port."""
        query = select(WORKSPACES).order_by(WORKSPACES.c.created_at, WORKSPACES.c.id)
        return await self._transactions.run(
            lambda connection: [workspace_of(row) for row in connection.execute(query)]
        )

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
        query = select(LAKEHOUSES.c.database)
        return await self._transactions.run(
            lambda connection: frozenset(row.database for row in connection.execute(query))
        )

    async def assign_role(self, assignment: RoleAssignment) -> None:
        """See the port."""
        key = (
            ROLES.c.workspace == assignment.workspace,
            ROLES.c.principal == assignment.principal,
        )

        def work(connection: Connection) -> None:
            connection.execute(delete(ROLES).where(*key))
            connection.execute(insert(ROLES).values(dataclasses.asdict(assignment)))

        await self._transactions.run(work)

    async def role(self, workspace: WorkspaceId, principal: PrincipalId) -> Role | None:
        """See the port."""
        query = select(ROLES.c.role).where(
            ROLES.c.workspace == workspace, ROLES.c.principal == principal
        )

        def work(connection: Connection) -> Role | None:
            row = connection.execute(query).first()
            return Role(row.role) if row else None

        return await self._transactions.run(work)
