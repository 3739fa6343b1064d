"""Client applications: their ids, credentials by name, scopes and redirect URIs; a new one.

Admins of a workspace see them; the owners also change them (see `livius.portal.pages.application`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.accounts import ClientApplication
from livius.domain.errors import Forbidden, NotFound
from livius.domain.lakehouse import Role
from livius.domain.messages import Message
from livius.portal.pages import settings
from livius.portal.pages_base import ROOT, PageRequest, Portal
from livius.ports.identity import Directory
from livius.usecases import catalog
from livius.usecases.access import directory_of_owner, may_change_directory
from livius.usecases.identity import directory

BASE: Final = "/applications"


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of the list."""
    return [portal.get(BASE, applications), portal.post(BASE, create)]


async def may_see(request: PageRequest) -> bool:
    """Tell whether there is an embedded directory, and the caller may see it."""
    if request.context.directory is None:
        return False
    if may_change_directory(request.context, request.caller):
        return True
    found = await catalog.list_workspaces(request.context, request.caller)
    return any(role is Role.ADMIN for _workspace, role in found)


def application_path(one: ClientApplication) -> str:
    """Return the path of an application's page."""
    return f"{ROOT}{BASE}/{one.client_id}"


async def applications(request: PageRequest) -> Response:
    """Show all client applications of the embedded authority."""
    known = await directory_to_see(request)
    return await settings.show(
        request,
        "applications.html",
        key="applications",
        title=request.tr("Client applications"),
        applications=[one for one in await known.applications() if not one.trusted],
        may_change=may_change_directory(request.context, request.caller),
    )


async def directory_to_see(request: PageRequest) -> Directory:
    """Return the directory to a caller who may see its applications.

    Raises:
        NotFound: the authority is another one.
        Forbidden: the caller is neither an owner nor an Admin of a workspace.
    """
    known = request.context.directory
    if known is None:
        raise NotFound(
            "NoDirectory",
            Message(
                "Another authority signs users in here; manage its client applications on its own "
                "pages."
            ),
        )
    if not await may_see(request):
        raise Forbidden(
            "InsufficientPrivileges",
            Message("Client applications are shown to Admins of a workspace."),
        )
    return known


async def create(request: PageRequest) -> Response:
    """Register an application, and redirect to it."""
    made = await directory.create_application(
        directory_of_owner(request.context, request.caller),
        request.context.clock,
        request.sent("name"),
        public=request.sent("public") == "yes",
        redirect_uris=(),
        scopes=(),
    )
    return request.go(
        application_path(made), request.tr("The application %(name)s is created.", name=made.name)
    )
