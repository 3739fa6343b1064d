"""Client applications: their ids, credentials by name, scopes and redirect URIs; a new one.

Admins of a workspace look; the owners also change them (see `livius.portal.pages.application`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.accounts import ClientApplication
from livius.domain.errors import Forbidden, NotFound
from livius.domain.lakehouse import Role
from livius.domain.sentences import Sentence
from livius.portal.desk import ROOT, Call, Crumb, Desk
from livius.usecases import catalog
from livius.usecases.access import directory_of_owner, may_change_directory
from livius.usecases.identity import directory

BASE: Final = "/applications"


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of the list."""
    return [desk.get(BASE, applications), desk.post(BASE, create)]


async def may_see(call: Call) -> bool:
    """Tell whether the caller may see them, and there is a directory of ours to see."""
    if call.context.directory is None:
        return False
    if may_change_directory(call.context, call.caller):
        return True
    found = await catalog.list_workspaces(call.context, call.caller)
    return any(role is Role.ADMIN for _workspace, role in found)


def application_path(one: ClientApplication) -> str:
    """Return where an application's page is."""
    return f"{ROOT}{BASE}/{one.client_id}"


def crumbs_to(call: Call, *more: Crumb) -> list[Crumb]:
    """Return the way to the list, or to one of it."""
    return [
        Crumb(call.tr("Workspaces"), f"{ROOT}/workspaces"),
        Crumb(call.tr("Client applications"), f"{ROOT}{BASE}" if more else None),
        *more,
    ]


async def applications(call: Call) -> Response:
    """Show all client applications of the embedded authority."""
    known = call.context.directory
    if known is None:
        raise NotFound(
            "NoDirectory",
            Sentence("Another authority signs people in here: its own pages have these."),
        )
    if not await may_see(call):
        raise Forbidden(
            "InsufficientPrivileges",
            Sentence("Client applications are shown to Admins of a workspace."),
        )
    return call.page(
        "applications.html",
        title=call.tr("Client applications"),
        place="workspaces",
        crumbs=crumbs_to(call),
        applications=[one for one in await known.applications() if not one.trusted],
        may_change=may_change_directory(call.context, call.caller),
    )


async def create(call: Call) -> Response:
    """Register an application, and lead to it."""
    made = await directory.create_application(
        directory_of_owner(call.context, call.caller),
        call.context.clock,
        call.sent("name"),
        public=call.sent("public") == "yes",
        redirect_uris=(),
        scopes=(),
    )
    return call.go(application_path(made))
