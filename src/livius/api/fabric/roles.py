"""Fabric's REST for the roles in a workspace. An assignment's id is its principal's."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.fabric.paging import Token, page_of
from livius.api.fabric.requests import ChangedRole, NewRole, read_body
from livius.api.schemas import RoleDocument, RolePage, RolePrincipalDocument
from livius.domain.errors import Invalid
from livius.domain.ids import parse_id
from livius.domain.permissions import MANAGE
from livius.domain.principal import PrincipalKind
from livius.usecases import roles
from livius.usecases.access import enter_workspace
from livius.usecases.context import Context
from livius.usecases.roles import Member

_KINDS: Final = ("User", "ServicePrincipal")

Id = Annotated[str, Path(max_length=100)]


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(
        prefix="/v1/workspaces/{workspace}/roleAssignments",
        tags=["Fabric workspaces and lakehouses"],
        route_class=DocumentedRoute,
    )

    @routes.get("")
    async def list_all(
        request: Request, caller: CurrentCaller, workspace: Id, token: Token = None
    ) -> Json[RolePage]:
        """List the roles in a workspace, for Admins and Members."""
        found = await roles.list_roles(context, caller, workspace)
        page, following = page_of(request, found, roles.order_of, token)
        return Json({"value": [_role(one) for one in page], **following})

    @routes.post("", status_code=201)
    async def add(request: Request, caller: CurrentCaller, workspace: Id) -> Json[RoleDocument]:
        """Assign a role to a principal that has none."""
        await enter_workspace(context, caller, workspace, MANAGE)
        body = await read_body(request, NewRole)
        if body.principal.type not in _KINDS:
            raise Invalid(
                "PrincipalTypeNotSupported",
                f"Roles are given to principals of the type {' or '.join(_KINDS)}; there are no "
                "groups here.",
                field="principal.type",
            )
        principal = parse_id(body.principal.id, what="Principal")
        made = await roles.add_role(context, caller, workspace, principal, body.role)
        location = f"{request.url.path}/{made.principal}"
        return Json(_role(made), status_code=201, headers={"Location": location})

    @routes.get("/{principal}")
    async def get(caller: CurrentCaller, workspace: Id, principal: Id) -> Json[RoleDocument]:
        """Return one principal's role."""
        return Json(_role(await roles.get_role(context, caller, workspace, principal)))

    @routes.patch("/{principal}")
    async def change(
        request: Request, caller: CurrentCaller, workspace: Id, principal: Id
    ) -> Json[RoleDocument]:
        """Change a principal's role. A workspace always has an Admin."""
        await enter_workspace(context, caller, workspace, MANAGE)
        body = await read_body(request, ChangedRole)
        changed = await roles.change_role(context, caller, workspace, principal, body.role)
        return Json(_role(changed))

    @routes.delete("/{principal}")
    async def remove(caller: CurrentCaller, workspace: Id, principal: Id) -> Response:
        """Remove a principal's role. A workspace always has an Admin."""
        await roles.remove_role(context, caller, workspace, principal)
        return Response(status_code=200)

    return routes


def _role(member: Member) -> RoleDocument:
    return {"id": member.principal, "principal": _principal(member), "role": member.role.value}


def _principal(member: Member) -> RolePrincipalDocument:
    known = member.known
    if known is None:
        return {"id": member.principal}
    if known.kind is PrincipalKind.USER:
        return {
            "id": member.principal,
            "displayName": known.name,
            "type": "User",
            "userDetails": {"userPrincipalName": known.handle},
        }
    return {
        "id": member.principal,
        "displayName": known.name,
        "type": "ServicePrincipal",
        "servicePrincipalDetails": {"aadAppId": known.handle},
    }
