"""Roles in a workspace: Admins assign, change and remove them; Members see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.errors import Invalid
from livius.domain.lakehouse import Role
from livius.domain.messages import Message
from livius.domain.permissions import SEE_ROLES
from livius.portal.labels import N_
from livius.portal.pages.workspaces import BASE, show
from livius.portal.pages_base import ROOT, PageRequest, Portal
from livius.usecases import roles

ROLES: Final = (
    (Role.VIEWER, N_("Viewer"), N_("sees the workspace's items and activities")),
    (Role.CONTRIBUTOR, N_("Contributor"), N_("also runs code, reads data and changes lakehouses")),
    (Role.MEMBER, N_("Member"), N_("also sees the assigned roles")),
    (
        Role.ADMIN,
        N_("Admin"),
        N_("also sees and controls all sessions, and changes the workspace"),
    ),
)
"""The roles, least first, with the rights that each adds to the one before."""


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of roles."""
    return [
        portal.get(f"{BASE}/access", access),
        portal.post(f"{BASE}/access", assign),
        portal.post(f"{BASE}/access/{{principal}}", change),
        portal.get(f"{BASE}/access/{{principal}}/remove", ask_to_remove),
        portal.post(f"{BASE}/access/{{principal}}/remove", remove),
    ]


async def access(request: PageRequest) -> Response:
    """Show the roles."""
    members = await roles.list_roles(request.context, request.caller, request.path("workspace"))
    admins = [one.principal for one in members if one.role is Role.ADMIN]
    return await show(
        request,
        "workspace_access.html",
        tab="access",
        members=members,
        only_admin=admins[0] if len(admins) == 1 else None,
        roles=ROLES,
        has_directory=request.context.directory is not None,
    )


async def assign(request: PageRequest) -> Response:
    """Assign a role to a principal that has none."""
    workspace = request.path("workspace")
    await roles.add_role(
        request.context, request.caller, workspace, request.sent("principal"), _role(request)
    )
    return request.go(f"{ROOT}/workspaces/{workspace}/access", request.tr("The role is assigned."))


async def change(request: PageRequest) -> Response:
    """Change a role."""
    workspace, principal = request.path("workspace"), request.path("principal")
    changed = await roles.change_role(
        request.context, request.caller, workspace, principal, _role(request)
    )
    may_see = principal != request.caller.oid or changed.role in SEE_ROLES.roles
    return request.go(
        f"{ROOT}/workspaces/{workspace}{'/access' if may_see else ''}",
        request.tr("The role is changed."),
    )


async def ask_to_remove(request: PageRequest) -> Response:
    """Ask, and say what it means."""
    member = await roles.get_role(
        request.context, request.caller, request.path("workspace"), request.path("principal")
    )
    return await show(
        request,
        "_role_remove.html",
        tab="access",
        member=member,
        oneself=member.principal == request.caller.oid,
    )


async def remove(request: PageRequest) -> Response:
    """Remove a role."""
    workspace, principal = request.path("workspace"), request.path("principal")
    await roles.remove_role(request.context, request.caller, workspace, principal)
    left = principal == request.caller.oid
    return request.go(
        f"{ROOT}/workspaces" + ("" if left else f"/{workspace}/access"),
        request.tr("The role is removed."),
    )


def _role(request: PageRequest) -> Role:
    sent = request.sent("role")
    if sent not in tuple(Role):
        raise Invalid(
            "InvalidInput",
            Message("A role is one of %(roles)s.", roles=", ".join(Role)),
            field="role",
        )
    return Role(sent)
