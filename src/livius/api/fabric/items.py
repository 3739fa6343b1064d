"""Fabric's REST for the items of a workspace, whatever their type (Fabric contract 7.4)."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.fabric.catalog import WORKSPACES, Id, by_age, created, item_of, make_lakehouse
from livius.api.fabric.paging import Token, page_of
from livius.api.fabric.requests import ChangedLakehouse, NewItem, read_body
from livius.api.schemas import ItemDocument, ItemPage
from livius.domain.environment import Environment
from livius.domain.errors import Invalid
from livius.domain.lakehouse import Lakehouse
from livius.domain.permissions import CHANGE, CHANGE_ENVIRONMENT, LOOK
from livius.domain.principal import Principal
from livius.usecases import catalog, environments
from livius.usecases.access import enter, enter_workspace
from livius.usecases.context import Context
from livius.usecases.environments import EnvironmentPath

_LAKEHOUSE: Final = "Lakehouse"
_ENVIRONMENT: Final = "Environment"


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(
        prefix=WORKSPACES + "/{workspace}/items",
        tags=["Fabric workspaces and lakehouses"],
        route_class=DocumentedRoute,
    )
    _add_items(routes, context)
    _add_item(routes, context)
    return routes


def _add_items(routes: APIRouter, context: Context) -> None:
    @routes.get("")
    async def list_all(
        request: Request,
        caller: CurrentCaller,
        workspace: Id,
        kind: Annotated[str | None, Query(alias="type", max_length=100)] = None,
        token: Token = None,
    ) -> Json[ItemPage]:
        """List a workspace's items, or those of one type."""
        found: list[Lakehouse | Environment] = []
        if _is(kind, _LAKEHOUSE):
            found += await catalog.list_lakehouses(context, caller, workspace)
        else:
            await enter_workspace(context, caller, workspace, LOOK)
        if _is(kind, _ENVIRONMENT):
            views = await environments.list_environments(context, caller, workspace)
            found += [view.environment for view in views]
        page, following = page_of(request, found, by_age, token)
        return Json({"value": [_item(one) for one in page], **following})

    @routes.post("", status_code=201)
    async def create(request: Request, caller: CurrentCaller, workspace: Id) -> Json[ItemDocument]:
        """Create a lakehouse or an environment."""
        await enter_workspace(context, caller, workspace, CHANGE)
        body = await read_body(request, NewItem)
        if body.type == _ENVIRONMENT:
            view = await environments.create_environment(
                context, caller, workspace, body.displayName, body.description or ""
            )
            return created(request, view.environment.id, _item(view.environment))
        if body.type != _LAKEHOUSE:
            raise Invalid(
                "InvalidItemType",
                f"Livius has items of the types {_LAKEHOUSE} and {_ENVIRONMENT} only.",
                field="type",
            )
        made = await make_lakehouse(context, caller, workspace, body)
        return created(request, made.id, item_of(made))


def _is(asked: str | None, kind: str) -> bool:
    """Tell whether a list has items of a kind; None asks for all."""
    return asked is None or asked.lower() == kind.lower()


def _item(one: Lakehouse | Environment) -> ItemDocument:
    if isinstance(one, Lakehouse):
        return item_of(one)
    return {
        "id": one.id,
        "type": "Environment",
        "displayName": one.name,
        "description": one.description,
        "workspaceId": one.workspace,
    }


async def _environment(
    context: Context, caller: Principal, workspace: str, item: str
) -> EnvironmentPath | None:
    """Return the path of an item that is an environment; None of another one.

    The caller's rights are checked afterwards.
    """
    path = EnvironmentPath(workspace, item)
    return path if await environments.is_environment(context, caller, path) else None


def _add_item(routes: APIRouter, context: Context) -> None:
    @routes.get("/{item}")
    async def get(caller: CurrentCaller, workspace: Id, item: Id) -> Json[ItemDocument]:
        """Return an item."""
        if (found := await _environment(context, caller, workspace, item)) is not None:
            view = await environments.get_environment(context, caller, found)
            return Json(_item(view.environment))
        return Json(item_of(await catalog.get_lakehouse(context, caller, workspace, item)))

    @routes.patch("/{item}")
    async def change(
        request: Request, caller: CurrentCaller, workspace: Id, item: Id
    ) -> Json[ItemDocument]:
        """Change an item's display name or description."""
        if (found := await _environment(context, caller, workspace, item)) is not None:
            await environments.enter_environment(context, caller, found, CHANGE_ENVIRONMENT)
            body = await read_body(request, ChangedLakehouse)
            view = await environments.change_environment(
                context, caller, found, name=body.displayName, description=body.description
            )
            return Json(_item(view.environment))
        await enter(context, caller, workspace, item, CHANGE)
        body = await read_body(request, ChangedLakehouse)
        changed = await catalog.change_lakehouse(
            context, caller, workspace, item, name=body.displayName, description=body.description
        )
        return Json(item_of(changed))

    @routes.delete("/{item}")
    async def delete(
        caller: CurrentCaller,
        workspace: Id,
        item: Id,
        hard: Annotated[bool, Query(alias="hardDelete")] = False,  # noqa: FBT002 - the wire's
    ) -> Response:
        """Delete an item; the files of a lakehouse only with ``hardDelete``."""
        if (found := await _environment(context, caller, workspace, item)) is not None:
            await environments.delete_environment(context, caller, found)
            return Response(status_code=200)
        await catalog.delete_lakehouse(context, caller, workspace, item, hard=hard)
        return Response(status_code=200)
