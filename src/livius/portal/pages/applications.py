"""Client applications: their ids, credentials by name, scopes and redirect URIs. Changes nothing.

Whoever adds a credential to an application can act as it, in every workspace that it has a role
in. So that stays with the operator's own command, which the page names.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.errors import Forbidden, NotFound
from livius.domain.lakehouse import Role
from livius.portal.desk import ROOT, Call, Crumb, Desk
from livius.usecases import catalog


def routes(desk: Desk) -> Sequence[Route]:
    """Return the route of the one page."""
    return [desk.get("/applications", applications)]


async def may_see(call: Call) -> bool:
    """Tell whether the caller is an Admin anywhere, and there is a directory of ours to see."""
    found = await catalog.list_workspaces(call.context, call.caller)
    there = call.context.directory is not None
    return there and any(role is Role.ADMIN for _workspace, role in found)


async def applications(call: Call) -> Response:
    """Show all client applications of the embedded authority."""
    directory = call.context.directory
    if directory is None:
        raise NotFound(
            "NoDirectory", "Another authority signs people in here: its own pages have these."
        )
    if not await may_see(call):
        raise Forbidden(
            "InsufficientPrivileges", "Client applications are shown to Admins of a workspace."
        )
    return call.page(
        "applications.html",
        title=call.tr("Client applications"),
        place="workspaces",
        crumbs=[
            Crumb(call.tr("Workspaces"), f"{ROOT}/workspaces"),
            Crumb(call.tr("Client applications")),
        ],
        applications=[one for one in await directory.applications() if not one.trusted],
    )
