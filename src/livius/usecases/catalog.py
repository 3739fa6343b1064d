"""Workspaces and lakehouses: list, get, create, rename, delete (Fabric contract 7.2, 7.3).

Every role in a workspace may see it; creating and changing lakehouses needs Contributor, as running
code does; only Admins rename and delete a workspace. A lakehouse with a running session can't be
deleted, and its files stay unless the caller requests their deletion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from livius.domain.audit import Action, AuditEntry
from livius.domain.errors import Conflict, Invalid
from livius.domain.ids import LakehouseId, PrincipalId, SessionId, WorkspaceId, new_id
from livius.domain.lakehouse import (
    DEFAULT_SCHEMA,
    Lakehouse,
    LakehouseTable,
    Role,
    Workspace,
    check_description,
    check_lakehouse_name,
    check_workspace_name,
    database_name,
)
from livius.domain.messages import Message
from livius.domain.permissions import (
    CHANGE,
    CREATE_WORKSPACE,
    LIST_WORKSPACES,
    LOOK,
    MANAGE,
    check_scopes,
)
from livius.domain.principal import Principal
from livius.domain.session import Session
from livius.ports.catalog import Catalog, Outcome
from livius.ports.clock import Clock
from livius.usecases.access import (
    enter,
    enter_workspace,
    lakehouse_not_found,
    workspace_not_found,
)
from livius.usecases.audit import by_caller
from livius.usecases.audit_throttle import act
from livius.usecases.context import Context

Named = TypeVar("Named", Workspace, Lakehouse)


async def list_workspaces(context: Context, caller: Principal) -> Sequence[tuple[Workspace, Role]]:
    """Return the workspaces in which the caller has a role, with the role."""
    check_scopes(caller, LIST_WORKSPACES)
    return await context.store.workspaces_of(PrincipalId(caller.oid))


async def create_workspace(
    context: Context, caller: Principal, name: str, description: str
) -> Workspace:
    """Create a workspace whose Admin is the caller.

    Raises:
        Invalid: the name or description is invalid.
        Conflict: another workspace has the name.
        Forbidden: the caller lacks a scope.
    """
    check_scopes(caller, CREATE_WORKSPACE)
    check_workspace_name(name)
    check_description(description)
    workspace = Workspace(
        id=WorkspaceId(new_id()),
        name=name,
        created_at=context.clock.now(),
        description=description,
    )
    done = await context.store.add_workspace(
        workspace,
        PrincipalId(caller.oid),
        audit=act(context.clock, Action.WORKSPACE_CREATE, name, workspace=workspace.id),
    )
    if not done:
        raise _workspace_name_in_use(name)
    return workspace


async def get_workspace(
    context: Context, caller: Principal, workspace: str
) -> tuple[Workspace, Role]:
    """Return a workspace, and the caller's role in it."""
    return await enter_workspace(context, caller, workspace, LIST_WORKSPACES)


async def change_workspace(
    context: Context,
    caller: Principal,
    workspace: str,
    *,
    name: str | None,
    description: str | None,
) -> Workspace:
    """Change a workspace's name or description. Its id and addresses stay the same.

    Raises:
        Forbidden: the caller is not an Admin.
        Invalid: nothing to change, or an invalid name or description.
        Conflict: another workspace has the name.
    """
    present, _role = await enter_workspace(context, caller, workspace, MANAGE)
    return await describe_workspace(
        context.store, context.clock, present, name=name, description=description
    )


async def describe_workspace(
    store: Catalog,
    clock: Clock,
    present: Workspace,
    *,
    name: str | None,
    description: str | None,
) -> Workspace:
    """Change it in the store, without a check of rights."""
    changed = _described(present, name, description, check_workspace_name)
    outcome = await store.change_workspace(
        present.id,
        name=name,
        description=description,
        audit=act(clock, Action.WORKSPACE_CHANGE, changed.name, workspace=present.id),
    )
    if outcome is Outcome.TAKEN:
        raise _workspace_name_in_use(changed.name)
    if not outcome:
        raise workspace_not_found(present.id)
    return changed


async def delete_workspace(context: Context, caller: Principal, workspace: str) -> None:
    """Remove a workspace with its lakehouses and roles, and end its sessions.

    The files stay in the data folder, as those of a deleted lakehouse do.

    Raises:
        NotFound: there is no such workspace; also for the second of two callers who delete it.
            Forbidden: the caller is not an Admin.
    """
    found, _role = await enter_workspace(context, caller, workspace, MANAGE)

    ended = await remove_workspace(
        context.store,
        context.clock,
        found,
        by=PrincipalId(caller.oid),
        name=caller.name,
        audit_end=lambda session: by_caller(context, caller, session, Action.SESSION_DELETE),
    )
    for session in ended:
        context.notifications.notify(session)
        for driver in await context.store.drivers_of(session):
            context.wake(driver)


async def remove_workspace(
    store: Catalog,
    clock: Clock,
    workspace: Workspace,
    *,
    by: PrincipalId,
    name: str,
    audit_end: Callable[[Session], AuditEntry],
) -> Sequence[SessionId]:
    """Delete it in the store, without a check of rights; return the sessions that have to end.

    Raises:
        NotFound: another one has deleted it in the same moment.
    """
    ended = await store.delete_workspace(
        workspace.id,
        at=clock.now(),
        by=by,
        reason=f"{name} deleted the workspace {workspace.name}.",
        audit_end=audit_end,
        audit=act(clock, Action.WORKSPACE_DELETE, workspace.name, workspace=workspace.id),
    )
    if ended is None:
        raise workspace_not_found(workspace.id)
    return ended


async def list_lakehouses(
    context: Context, caller: Principal, workspace: str
) -> Sequence[Lakehouse]:
    """Return the lakehouses of a workspace."""
    found, _role = await enter_workspace(context, caller, workspace, LOOK)
    return await context.store.list_lakehouses(found.id)


async def create_lakehouse(
    context: Context,
    caller: Principal,
    workspace: str,
    name: str,
    description: str,
    *,
    has_schemas: bool = False,
) -> Lakehouse:
    """Create a lakehouse; sessions can use it once this returns.

    Whether it has schemas can't be changed later.

    Raises:
        Forbidden: the caller's role may only read.
        Invalid: the name or description is invalid.
        Conflict: another lakehouse of the workspace has the name.
    """
    found, _role = await enter_workspace(context, caller, workspace, CHANGE)
    check_lakehouse_name(name)
    check_description(description)
    identity = LakehouseId(new_id())

    async def database() -> str:
        taken = await context.store.database_names()
        return database_name(name, identity, taken=taken, has_schemas=has_schemas)

    lakehouse = Lakehouse(
        id=identity,
        workspace=found.id,
        name=name,
        database=await database(),
        created_at=context.clock.now(),
        description=description,
        has_schemas=has_schemas,
    )
    await context.lakehouses.create(found.id, identity)
    entry = _act(context.clock, Action.LAKEHOUSE_CREATE, lakehouse)
    while not (outcome := await context.store.add_lakehouse(lakehouse, audit=entry)):
        if outcome is not Outcome.DATABASE_TAKEN:
            await context.lakehouses.remove(found.id, identity)
            raise _name_in_use(name) if outcome is Outcome.TAKEN else workspace_not_found(found.id)
        # Another lakehouse, created at the same moment, has taken the database's name.
        lakehouse = dataclasses.replace(lakehouse, database=await database())
    return lakehouse


async def get_lakehouse(
    context: Context, caller: Principal, workspace: str, lakehouse: str
) -> Lakehouse:
    """Return a lakehouse."""
    return (await enter(context, caller, workspace, lakehouse, LOOK)).lakehouse


async def change_lakehouse(
    context: Context,
    caller: Principal,
    workspace: str,
    lakehouse: str,
    *,
    name: str | None,
    description: str | None,
) -> Lakehouse:
    """Change a lakehouse's name or description. Its id, folder and database stay the same.

    Raises:
        Invalid: nothing to change, or an invalid name or description.
        Conflict: another lakehouse of the workspace has the name.
    """
    place = await enter(context, caller, workspace, lakehouse, CHANGE)
    present = place.lakehouse
    changed = _described(present, name, description, check_lakehouse_name)
    outcome = await context.store.change_lakehouse(
        present.id,
        name=name,
        description=description,
        audit=_act(context.clock, Action.LAKEHOUSE_CHANGE, changed),
    )
    if outcome is Outcome.TAKEN:
        raise _name_in_use(changed.name)
    if not outcome:
        raise lakehouse_not_found(present.id, present.workspace)
    return changed


async def delete_lakehouse(
    context: Context, caller: Principal, workspace: str, lakehouse: str, *, hard: bool
) -> None:
    """Remove a lakehouse from its workspace; with ``hard``, its files too.

    Without it the files stay in the data folder, and can be copied into another lakehouse.

    Raises:
        Conflict: a session runs in it.
        NotFound: there is no such lakehouse; also for the second of two callers who delete it.
    """
    place = await enter(context, caller, workspace, lakehouse, CHANGE)
    present = place.lakehouse
    outcome = await context.store.delete_lakehouse(
        present.id,
        at=context.clock.now(),
        by=PrincipalId(caller.oid),
        audit=_act(
            context.clock,
            Action.LAKEHOUSE_DELETE,
            present,
            detail="with its files" if hard else None,
        ),
    )
    if outcome is Outcome.MISSING:
        raise lakehouse_not_found(present.id, present.workspace)
    if not outcome:
        raise Conflict(
            "LakehouseInUse",
            Message(
                "Sessions run in the lakehouse %(name)s. Delete them first, or wait until they "
                "have ended.",
                name=present.name,
            ),
        )
    if hard:
        await context.lakehouses.remove(present.workspace, present.id)


async def list_tables(
    context: Context, caller: Principal, workspace: str, lakehouse: str
) -> tuple[Lakehouse, Sequence[LakehouseTable]]:
    """Return a lakehouse and its tables, by name."""
    place = await enter(context, caller, workspace, lakehouse, LOOK)
    found = place.lakehouse
    return found, await context.lakehouses.tables(
        found.workspace, found.id, has_schemas=found.has_schemas
    )


async def list_schemas(
    context: Context, caller: Principal, workspace: str, lakehouse: str
) -> Sequence[str]:
    """Return the schemas of a lakehouse, the default one first; none where it has no schemas."""
    found = (await enter(context, caller, workspace, lakehouse, LOOK)).lakehouse
    if not found.has_schemas:
        return ()
    present = await context.lakehouses.schemas(found.workspace, found.id)
    return [DEFAULT_SCHEMA, *(one for one in present if one != DEFAULT_SCHEMA)]


def _described(
    present: Named, name: str | None, description: str | None, check_name: Callable[[str], None]
) -> Named:
    """Return it with a new name or description; None leaves the present one.

    Raises:
        Invalid: nothing to change, or an invalid name or description.
    """
    if name is None and description is None:
        raise Invalid("InvalidInput", Message("Send a displayName, a description or both."))
    changed = dataclasses.replace(
        present,
        name=present.name if name is None else name,
        description=present.description if description is None else description,
    )
    if name is not None:
        check_name(name)
    check_description(changed.description)
    return changed


def _workspace_name_in_use(name: str) -> Conflict:
    return Conflict(
        "WorkspaceNameAlreadyExists",
        Message("There is a workspace %(name)s. Choose another name.", name=name),
    )


def _act(
    clock: Clock, action: Action, lakehouse: Lakehouse, *, detail: str | None = None
) -> AuditEntry:
    """Return the entry for an act on a lakehouse."""
    said = act(clock, action, lakehouse.name, detail=detail, workspace=lakehouse.workspace)
    return dataclasses.replace(said, lakehouse=lakehouse.id)


def _name_in_use(name: str) -> Conflict:
    return Conflict(
        "ItemDisplayNameAlreadyInUse",
        Message("There is a lakehouse %(name)s in this workspace. Choose another name.", name=name),
    )
