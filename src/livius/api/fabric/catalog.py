"""Fabric's REST for workspaces and lakehouses (Fabric contract 7.1 to 7.4).

All operations are synchronous: a create answers 201 with the item, which can be used at once. Lists
are short and have no pages, except those of tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from livius.api.addresses import own_url
from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.fabric.requests import (
    ChangedLakehouse,
    ChangedWorkspace,
    NewItem,
    NewLakehouse,
    NewWorkspace,
    read_body,
)
from livius.api.schemas import (
    ItemDocument,
    ItemPage,
    LakehouseDocument,
    LakehousePage,
    LakehousePaths,
    TableDocument,
    TablePage,
    WorkspaceDocument,
    WorkspacePage,
)
from livius.domain.errors import Invalid
from livius.domain.lakehouse import Lakehouse, LakehouseTable, Workspace
from livius.domain.permissions import CHANGE, CREATE_WORKSPACE, MANAGE, check_scopes
from livius.domain.principal import Principal
from livius.usecases import catalog
from livius.usecases.access import enter, enter_workspace
from livius.usecases.context import Context

ONELAKE: Final = "onelake.dfs.fabric.microsoft.com"
"""The host of files in Fabric. Sessions have the same addresses."""

_LAKEHOUSE: Final = "Lakehouse"
_MAX_PAGE: Final = 100

_Made = TypeVar("_Made", WorkspaceDocument, LakehouseDocument, ItemDocument)
Id = Annotated[str, Path(max_length=100)]


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(
        prefix="/v1/workspaces",
        tags=["Fabric workspaces and lakehouses"],
        route_class=DocumentedRoute,
    )
    _add_workspaces(routes, context)
    _add_lakehouses(routes, context)
    _add_lakehouse(routes, context)
    return routes


def _add_workspaces(routes: APIRouter, context: Context) -> None:
    @routes.get("")
    async def list_all(
        caller: CurrentCaller, roles: Annotated[str | None, Query(max_length=100)] = None
    ) -> Json[WorkspacePage]:
        """List the caller's workspaces; ``roles`` keeps those where the caller has one of them."""
        found = await catalog.list_workspaces(context, caller)
        wanted = {role.strip().lower() for role in roles.split(",")} if roles else None
        kept = [one for one, role in found if wanted is None or role.lower() in wanted]
        return Json({"value": [_workspace(one) for one in kept]})

    @routes.post("", status_code=201)
    async def create(request: Request, caller: CurrentCaller) -> Json[WorkspaceDocument]:
        """Create a workspace whose Admin is the caller."""
        check_scopes(caller, CREATE_WORKSPACE)
        body = await read_body(request, NewWorkspace)
        made = await catalog.create_workspace(
            context, caller, body.displayName, body.description or ""
        )
        return _created(request, made.id, _workspace(made))

    @routes.get("/{workspace}")
    async def get(caller: CurrentCaller, workspace: Id) -> Json[WorkspaceDocument]:
        """Return a workspace."""
        found, _role = await catalog.get_workspace(context, caller, workspace)
        return Json(_workspace(found))

    @routes.patch("/{workspace}")
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

    @routes.delete("/{workspace}")
    async def delete(caller: CurrentCaller, workspace: Id) -> Response:
        """Delete a workspace with its lakehouses, and end its sessions; the files stay."""
        await catalog.delete_workspace(context, caller, workspace)
        return Response(status_code=200)


def _add_lakehouses(routes: APIRouter, context: Context) -> None:
    async def make(
        request: Request, caller: Principal, workspace: str, kind: type[NewLakehouse]
    ) -> Lakehouse:
        await enter_workspace(context, caller, workspace, CHANGE)
        body = await read_body(request, kind)
        if isinstance(body, NewItem) and body.type != _LAKEHOUSE:
            raise Invalid(
                "InvalidItemType", f"Livius has items of the type {_LAKEHOUSE} only.", field="type"
            )
        if body.creationPayload is not None:
            raise Invalid(
                "FeatureNotAvailable",
                "Lakehouses with schemas are not available in this version of Livius. Leave "
                "creationPayload out.",
                field="creationPayload",
            )
        return await catalog.create_lakehouse(
            context, caller, workspace, body.displayName, body.description or ""
        )

    @routes.get("/{workspace}/lakehouses")
    async def list_lakehouses(caller: CurrentCaller, workspace: Id) -> Json[LakehousePage]:
        """List a workspace's lakehouses."""
        found = await catalog.list_lakehouses(context, caller, workspace)
        return Json({"value": [_lakehouse(one) for one in found]})

    @routes.post("/{workspace}/lakehouses", status_code=201)
    async def create_lakehouse(
        request: Request, caller: CurrentCaller, workspace: Id
    ) -> Json[LakehouseDocument]:
        """Create a lakehouse. It can be used at once."""
        made = await make(request, caller, workspace, NewLakehouse)
        return _created(request, made.id, _lakehouse(made))

    @routes.get("/{workspace}/items")
    async def list_items(
        caller: CurrentCaller,
        workspace: Id,
        kind: Annotated[str, Query(alias="type", max_length=100)] = _LAKEHOUSE,
    ) -> Json[ItemPage]:
        """List a workspace's items. There are lakehouses only."""
        found = await catalog.list_lakehouses(context, caller, workspace)
        wanted = found if kind.lower() == _LAKEHOUSE.lower() else []
        return Json({"value": [_item(one) for one in wanted]})

    @routes.post("/{workspace}/items", status_code=201)
    async def create_item(
        request: Request, caller: CurrentCaller, workspace: Id
    ) -> Json[ItemDocument]:
        """Create an item, which can only be a lakehouse."""
        made = await make(request, caller, workspace, NewItem)
        return _created(request, made.id, _item(made))


def _add_lakehouse(routes: APIRouter, context: Context) -> None:
    path = "/{workspace}/lakehouses/{lakehouse}"

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
    async def tables(
        request: Request,
        caller: CurrentCaller,
        workspace: Id,
        lakehouse: Id,
        most: Annotated[int, Query(alias="maxResults", ge=1, le=_MAX_PAGE)] = _MAX_PAGE,
        after: Annotated[str, Query(alias="continuationToken", max_length=1000)] = "",
    ) -> Json[TablePage]:
        """List a lakehouse's tables by name; the token of a page is its last table's name."""
        found, all_tables = await catalog.list_tables(context, caller, workspace, lakehouse)
        rest = [table for table in all_tables if table.folder > after]
        body: TablePage = {"data": _tables(found, rest[:most])}
        if len(rest) > most:
            token = rest[most - 1].folder
            body["continuationToken"] = token
            uri = own_url(request, continuationToken=token)
            if uri is not None:
                body["continuationUri"] = uri
        return Json(body)


def _created(request: Request, made: str, body: _Made) -> Json[_Made]:
    location = f"{request.url.path}/{made}"
    return Json(body, status_code=201, headers={"Location": location})


def _workspace(workspace: Workspace) -> WorkspaceDocument:
    return {
        "id": workspace.id,
        "displayName": workspace.name,
        "description": workspace.description,
        "type": "Workspace",
    }


def _item(lakehouse: Lakehouse) -> ItemDocument:
    return {
        "id": lakehouse.id,
        "type": "Lakehouse",
        "displayName": lakehouse.name,
        "description": lakehouse.description,
        "workspaceId": lakehouse.workspace,
    }


def _lakehouse(lakehouse: Lakehouse) -> LakehouseDocument:
    """Return a lakehouse.

    ``defaultSchema`` is absent, by which clients see that it has no schemas.
    """
    root = f"https://{ONELAKE}/{lakehouse.workspace}/{lakehouse.id}"
    paths: LakehousePaths = {
        "oneLakeTablesPath": f"{root}/Tables",
        "oneLakeFilesPath": f"{root}/Files",
    }
    return {**_item(lakehouse), "properties": paths}


def _tables(lakehouse: Lakehouse, tables: Sequence[LakehouseTable]) -> list[TableDocument]:
    root = f"abfss://{lakehouse.workspace}@{ONELAKE}/{lakehouse.id}/Tables"
    return [
        {
            "type": "Managed",
            "name": table.folder,
            "location": f"{root}/{table.folder}",
            "format": table.format,
        }
        for table in tables
    ]
