"""Who has which role in a workspace: Admins assign, change and remove; Members look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.errors import Invalid
from livius.domain.lakehouse import Role
from livius.domain.permissions import SEE_ROLES
from livius.domain.sentences import Sentence
from livius.portal.desk import ROOT, Call, Desk
from livius.portal.pages.workspaces import BASE, show
from livius.portal.words import N_
from livius.usecases import roles

ROLES: Final = (
    (Role.VIEWER, N_("sees what there is and who runs what")),
    (Role.CONTRIBUTOR, N_("also runs code, reads data and changes lakehouses")),
    (Role.MEMBER, N_("also sees who has which role")),
    (Role.ADMIN, N_("also sees and steers everybody's sessions, and changes the workspace")),
)
"""The roles, from the least, with what each may do more than the one before."""


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of roles."""
    return [
        desk.get(f"{BASE}/access", access),
        desk.post(f"{BASE}/access", assign),
        desk.post(f"{BASE}/access/{{principal}}", change),
        desk.get(f"{BASE}/access/{{principal}}/remove", ask_to_remove),
        desk.post(f"{BASE}/access/{{principal}}/remove", remove),
    ]


async def access(call: Call) -> Response:
    """Show who has which role."""
    members = await roles.list_roles(call.context, call.caller, call.path("workspace"))
    admins = [one.principal for one in members if one.role is Role.ADMIN]
    return await show(
        call,
        "workspace_access.html",
        tab="access",
        members=members,
        only_admin=admins[0] if len(admins) == 1 else None,
        roles=ROLES,
        has_directory=call.context.directory is not None,
    )


async def assign(call: Call) -> Response:
    """Give a role to who has none."""
    workspace = call.path("workspace")
    await roles.add_role(call.context, call.caller, workspace, call.sent("principal"), _role(call))
    return call.go(f"{ROOT}/workspaces/{workspace}/access")


async def change(call: Call) -> Response:
    """Give another role."""
    workspace, principal = call.path("workspace"), call.path("principal")
    changed = await roles.change_role(call.context, call.caller, workspace, principal, _role(call))
    may_see = principal != call.caller.oid or changed.role in SEE_ROLES.roles
    return call.go(f"{ROOT}/workspaces/{workspace}{'/access' if may_see else ''}")


async def ask_to_remove(call: Call) -> Response:
    """Ask, and say what it means."""
    member = await roles.get_role(
        call.context, call.caller, call.path("workspace"), call.path("principal")
    )
    return await show(
        call,
        "_role_remove.html",
        tab="access",
        member=member,
        oneself=member.principal == call.caller.oid,
    )


async def remove(call: Call) -> Response:
    """Take a role away."""
    workspace, principal = call.path("workspace"), call.path("principal")
    await roles.remove_role(call.context, call.caller, workspace, principal)
    left = principal == call.caller.oid
    return call.go(f"{ROOT}/workspaces" + ("" if left else f"/{workspace}/access"))


def _role(call: Call) -> Role:
    sent = call.sent("role")
    if sent not in tuple(Role):
        raise Invalid(
            "InvalidInput",
            Sentence("A role is one of %(roles)s.", roles=", ".join(Role)),
            field="role",
        )
    return Role(sent)
