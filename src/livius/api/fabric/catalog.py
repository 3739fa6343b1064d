"""Fabric's REST for workspaces and lakehouses (Fabric contract 7.1 to 7.4).

All operations are synchronous: a create answers 201 with the item, which can be used at once. Items
of all types are in `livius.api.fabric.items`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.fabric.paging import PAGE, Token, micros, page_of
from livius.api.fabric.requests import (
    ChangedLakehouse,
    ChangedWorkspace,
    NewLakehouse,
    NewWorkspace,
    read_body,
)
from livius.api.schemas import (
    CapacityDocument,
    CapacityPage,
    FolderPage,
    ItemDocument,
    LakehouseDocument,
    LakehousePage,
    LakehousePaths,
    TableDocument,
    TablePage,
    WorkspaceDocument,
    WorkspacePage,
)
from livius.domain.environment import Environment
from livius.domain.errors import Invalid
from livius.domain.lakehouse import DEFAULT_SCHEMA, ONELAKE, Lakehouse, LakehouseTable, Workspace
from livius.domain.permissions import (
    CHANGE,
    CREATE_WORKSPACE,
    LIST_WORKSPACES,
    LOOK,
    MANAGE,
    check_scopes,
)
from livius.domain.principal import Principal
from livius.usecases import catalog
from livius.usecases.access import enter, enter_workspace
from livius.usecases.context import Context

_CAPACITY: Final[CapacityDocument] = {
    "id": "b0a3e1a0-6c5e-4f6f-9f4c-2f2a1c6f0b11",
    "displayName": "Livius",
    "sku": "Livius",
    "region": "Local",
    "state": "Active",
}
"""The one capacity, which all workspaces share: this installation."""

_Made = TypeVar("_Made")
Id = Annotated[str, Path(max_length=100)]
WORKSPACES: Final = "/v1/workspaces"


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(tags=["Fabric workspaces and lakehouses"], route_class=DocumentedRoute)
    _add_capacities(routes)
    _add_workspaces(routes, context)
    _add_lakehouses(routes, context)
    _add_lakehouse(routes, context)
    return routes


def _add_capacities(routes: APIRouter) -> None:
    @routes.get("/v1/capacities")
    async def capacities(caller: CurrentCaller) -> Json[CapacityPage]:
        """List the capacities. There is one: this installation."""
        check_scopes(caller, LIST_WORKSPACES)
        return Json({"value": [_CAPACITY]})


def _add_workspaces(routes: APIRouter, context: Context) -> None:
    @routes.get(WORKSPACES)
    async def list_all(
        request: Request,
        caller: CurrentCaller,
        roles: Annotated[str | None, Query(max_length=100)] = None,
        token: Token = None,
    ) -> Json[WorkspacePage]:
        """List the caller's workspaces; ``roles`` keeps those where the caller has one of them."""
        found = await catalog.list_workspaces(context, caller)
        wanted = {role.strip().lower() for role in roles.split(",")} if roles else None
        kept = [one for one, role in found if wanted is None or role.lower() in wanted]
        page, following = page_of(request, kept, by_age, token)
        return Json({"value": [_workspace(one) for one in page], **following})

    @routes.post(WORKSPACES, status_code=201)
    async def create(request: Request, caller: CurrentCaller) -> Json[WorkspaceDocument]:
        """Create a workspace whose Admin is the caller."""
        check_scopes(caller, CREATE_WORKSPACE)
        body = await read_body(request, NewWorkspace)
        made = await catalog.create_workspace(
            context, caller, body.displayName, body.description or ""
        )
        return created(request, made.id, _workspace(made))

    @routes.get(WORKSPACES + "/{workspace}")
    async def get(caller: CurrentCaller, workspace: Id) -> Json[WorkspaceDocument]:
        """Return a workspace."""
        found, _role = await catalog.get_workspace(context, caller, workspace)
        return Json(_workspace(found))

    @routes.patch(WORKSPACES + "/{workspace}")
    async def change(
        request: Request, caller: CurrentCaller, workspace: Id
    ) -> Json[WorkspaceDocument]:
        """Change a workspace's display name or description; every address stays."""
        await enter_workspace(context, caller, workspace, MANAGE)
        body = await read_body(request, ChangedWorkspace)
        changed = await catalog.change_workspace(
            context, caller, workspace, name=body.displayName, description=body.description
        )
        return Json(_workspace(changed))

    @routes.delete(WORKSPACES + "/{workspace}")
    async def delete(caller: CurrentCaller, workspace: Id) -> Response:
        """Delete a workspace with its lakehouses, and end its sessions; the files stay."""
        await catalog.delete_workspace(context, caller, workspace)
        return Response(status_code=200)


def _add_lakehouses(routes: APIRouter, context: Context) -> None:
    @routes.get(WORKSPACES + "/{workspace}/folders")
    async def list_folders(
        caller: CurrentCaller,
        workspace: Id,
        recursive: bool = True,  # noqa: FBT001, FBT002 - the wire's
        token: Token = None,
    ) -> Json[FolderPage]:
        """List a workspace's folders: there are none, all items are directly in the workspace."""
        del recursive, token
        await enter_workspace(context, caller, workspace, LOOK)
        return Json({"value": []})

    @routes.get(WORKSPACES + "/{workspace}/lakehouses")
    async def list_lakehouses(
        request: Request, caller: CurrentCaller, workspace: Id, token: Token = None
    ) -> Json[LakehousePage]:
        """List a workspace's lakehouses."""
        found = await catalog.list_lakehouses(context, caller, workspace)
        page, following = page_of(request, found, by_age, token)
        return Json({"value": [_lakehouse(one) for one in page], **following})

    @routes.post(WORKSPACES + "/{workspace}/lakehouses", status_code=201)
    async def create_lakehouse(
        request: Request, caller: CurrentCaller, workspace: Id
    ) -> Json[LakehouseDocument]:
        """Create a lakehouse. It can be used at once."""
        await enter_workspace(context, caller, workspace, CHANGE)
        body = await read_body(request, NewLakehouse)
        made = await make_lakehouse(context, caller, workspace, body)
        return created(request, made.id, _lakehouse(made))


async def make_lakehouse(
    context: Context, caller: Principal, workspace: str, body: NewLakehouse
) -> Lakehouse:
    """Create a lakehouse as a body describes it.

    Raises:
        LiviusError: there is a lakehouse of the name, or the body is not valid.
    """
    payload = body.creationPayload
    if payload is not None and not payload.enableSchemas:
        raise Invalid(
            "InvalidInput",
            "enableSchemas may only be true. Leave creationPayload out for a lakehouse "
            "without schemas.",
            field="creationPayload.enableSchemas",
        )
    return await catalog.create_lakehouse(
        context,
        caller,
        workspace,
        body.displayName,
        body.description or "",
        has_schemas=payload is not None,
    )


def _add_lakehouse(routes: APIRouter, context: Context) -> None:
    path = WORKSPACES + "/{workspace}/lakehouses/{lakehouse}"

    @routes.get(path)
    async def get(caller: CurrentCaller, workspace: Id, lakehouse: Id) -> Json[LakehouseDocument]:
        """Return a lakehouse."""
        found = await catalog.get_lakehouse(context, caller, workspace, lakehouse)
        return Json(_lakehouse(found))

    @routes.patch(path)
    async def change(
        request: Request, caller: CurrentCaller, workspace: Id, lakehouse: Id
    ) -> Json[LakehouseDocument]:
        """Change a lakehouse's display name or description; its tables stay the same."""
        await enter(context, caller, workspace, lakehouse, CHANGE)
        body = await read_body(request, ChangedLakehouse)
        changed = await catalog.change_lakehouse(
            context,
            caller,
            workspace,
            lakehouse,
            name=body.displayName,
            description=body.description,
        )
        return Json(_lakehouse(changed))

    @routes.delete(path)
    async def delete(
        caller: CurrentCaller,
        workspace: Id,
        lakehouse: Id,
        hard: Annotated[bool, Query(alias="hardDelete")] = False,  # noqa: FBT002 - the wire's
    ) -> Response:
        """Delete a lakehouse; its files only with ``hardDelete``."""
        await catalog.delete_lakehouse(context, caller, workspace, lakehouse, hard=hard)
        return Response(status_code=200)

    @routes.get(path + "/tables")
    async def list_tables(
        request: Request,
        caller: CurrentCaller,
        workspace: Id,
        lakehouse: Id,
        most: Annotated[int, Query(alias="maxResults", ge=1, le=PAGE)] = PAGE,
        token: Token = None,
    ) -> Json[TablePage]:
        """List a lakehouse's tables by name."""
        found, tables = await catalog.list_tables(context, caller, workspace, lakehouse)
        page, following = page_of(request, tables, lambda one: (one.name,), token, most=most)
        return Json({"data": _tables(found, page), **following})


def created(request: Request, made: str, body: _Made) -> Json[_Made]:
    """Return the answer to a create: 201 with the new item and its address."""
    location = f"{request.url.path}/{made}"
    return Json(body, status_code=201, headers={"Location": location})


def _workspace(workspace: Workspace) -> WorkspaceDocument:
    return {
        "id": workspace.id,
        "displayName": workspace.name,
        "description": workspace.description,
        "type": "Workspace",
        "capacityId": _CAPACITY["id"],
    }


def by_age(one: Workspace | Lakehouse | Environment) -> tuple[int, str]:
    """Return what lists are sorted by: oldest first."""
    return micros(one.created_at), one.id


def item_of(lakehouse: Lakehouse) -> ItemDocument:
    """Return a lakehouse as an item among others."""
    return {
        "id": lakehouse.id,
        "type": "Lakehouse",
        "displayName": lakehouse.name,
        "description": lakehouse.description,
        "workspaceId": lakehouse.workspace,
    }


def _lakehouse(lakehouse: Lakehouse) -> LakehouseDocument:
    """Return a lakehouse. Clients see by ``defaultSchema`` whether it has schemas."""
    root = f"https://{ONELAKE}/{lakehouse.workspace}/{lakehouse.id}"
    paths: LakehousePaths = {
        "oneLakeTablesPath": f"{root}/Tables",
        "oneLakeFilesPath": f"{root}/Files",
    }
    if lakehouse.has_schemas:
        paths["defaultSchema"] = DEFAULT_SCHEMA
    return {**item_of(lakehouse), "properties": paths}


def _tables(lakehouse: Lakehouse, tables: Sequence[LakehouseTable]) -> list[TableDocument]:
    root = f"abfss://{lakehouse.workspace}@{ONELAKE}/{lakehouse.id}/Tables"
    found: list[TableDocument] = []
    for table in tables:
        document: TableDocument = {
            "type": "Managed",
            "name": table.folder,
            "location": "/".join(filter(None, (root, table.schema, table.folder))),
            "format": table.format,
        }
        if table.schema is not None:
            document["schemaName"] = table.schema
        found.append(document)
    return found
