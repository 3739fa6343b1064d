"""The list of workspaces, the lakehouses of a workspace, and forms for new ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.lakehouse import Lakehouse, Workspace
from livius.domain.permissions import CHANGE, MANAGE
from livius.portal.events import PageVersion, version_of
from livius.portal.labels import N_
from livius.portal.pages import settings
from livius.portal.pages_base import ROOT, Crumb, Live, PageRequest, Portal
from livius.portal.surroundings import admin_names
from livius.ports.notifications import AnySessionChanged
from livius.usecases import catalog

BASE: Final = "/workspaces/{workspace}"
TABS: Final = (("", N_("Lakehouses")), ("environments", N_("Environments")))
"""The tabs of a workspace: end of the address, and label."""
SETTINGS: Final = {
    "settings": N_("General"),
    "access": N_("Manage access"),
    "spark": N_("Spark settings"),
}
"""Its pages in the area of settings, with their titles."""
PLACES_BEAT: Final = 3.0
"""Seconds between two reads of places, as changes by sessions and commands have no notification."""


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of workspaces."""
    return [
        portal.get("/workspaces", workspaces),
        portal.post("/workspaces", create_workspace),
        portal.get(BASE, workspace),
        portal.get(f"{BASE}/live", live, passive=True),
        portal.post(f"{BASE}/lakehouses", create_lakehouse),
    ]


def workspace_path(one: Workspace) -> str:
    """Return the path of a workspace's page."""
    return f"{ROOT}/workspaces/{one.id}"


def lakehouse_path(one: Lakehouse) -> str:
    """Return the path of a lakehouse's pages."""
    return f"{ROOT}/workspaces/{one.workspace}/lakehouses/{one.id}"


def crumbs_to(request: PageRequest, one: Workspace, *more: Crumb) -> list[Crumb]:
    """Return the breadcrumbs of a workspace's page."""
    return [
        Crumb(request.tr("Workspaces"), f"{ROOT}/workspaces"),
        Crumb(one.name, workspace_path(one) if more else None),
        *more,
    ]


async def show(request: PageRequest, template: str, *, tab: str, **values: Any) -> Response:
    """Return a tab of a workspace's page, or a part of one for htmx."""
    one, role = await catalog.get_workspace(
        request.context, request.caller, request.path("workspace")
    )
    values |= {
        "workspace": one,
        "role": role,
        "path": workspace_path(one),
        "may_change": role in CHANGE.roles,
        "may_manage": role in MANAGE.roles,
    }
    if template.startswith("_"):
        return request.fragment(template, **values)
    if tab in SETTINGS:
        title = request.tr(SETTINGS[tab])
        is_closed = role not in MANAGE.roles
        return await settings.show(
            request,
            template,
            key=tab,
            title=title,
            of=one,
            crumbs=[Crumb(one.name, workspace_path(one)), Crumb(title)],
            admins=await admin_names(request.context, request.caller, one.id) if is_closed else (),
            owners=(),
            **values,
        )
    return request.page(
        template,
        title=one.name,
        place="workspaces",
        crumbs=crumbs_to(request, one),
        tab=tab,
        tabs=TABS,
        **values,
    )


async def workspaces(request: PageRequest) -> Response:
    """Show the workspaces in which the caller has a role."""
    found = await catalog.list_workspaces(request.context, request.caller)
    rows = [
        (one, role, len(await catalog.list_lakehouses(request.context, request.caller, one.id)))
        for one, role in found
    ]
    return request.page(
        "workspaces.html",
        title=request.tr("Workspaces"),
        place="workspaces",
        rows=rows,
    )


async def create_workspace(request: PageRequest) -> Response:
    """Create a workspace, and redirect to it."""
    made = await catalog.create_workspace(
        request.context,
        request.caller,
        request.sent("name").strip(),
        request.sent("description").strip(),
    )
    return request.go(
        workspace_path(made), request.tr("The workspace %(name)s is created.", name=made.name)
    )


async def workspace(request: PageRequest) -> Response:
    """Show a workspace's lakehouses; if there is none, how to make one."""
    found = await _lakehouses(request)
    return await show(
        request,
        "workspace_lakehouses.html",
        tab="",
        lakehouses=found,
        live=Live(f"{request.http.url.path}/live", _look(found)),
    )


async def live(request: PageRequest) -> Response:
    """Stream added, removed and renamed lakehouses."""

    async def looker() -> PageVersion:
        return _look(await _lakehouses(request))

    return request.stream(looker)


async def _lakehouses(request: PageRequest) -> Sequence[Lakehouse]:
    return await catalog.list_lakehouses(request.context, request.caller, request.path("workspace"))


def _look(lakehouses: Sequence[Lakehouse]) -> PageVersion:
    return look_at_places("lakehouses", [(one.id, one.name, one.description) for one in lakehouses])


def look_at_places(part: str, shown: Sequence[object]) -> PageVersion:
    """Return the version of a list of places, as a page shows it."""
    return PageVersion(
        versions={part: version_of(repr(shown))},
        topics=(AnySessionChanged(),),
        beat=PLACES_BEAT,
    )


async def create_lakehouse(request: PageRequest) -> Response:
    """Create a lakehouse, and redirect to it."""
    made = await catalog.create_lakehouse(
        request.context,
        request.caller,
        request.path("workspace"),
        request.sent("name").strip(),
        request.sent("description").strip(),
        has_schemas=request.sent("schemas") == "yes",
    )
    return request.go(
        lakehouse_path(made), request.tr("The lakehouse %(name)s is created.", name=made.name)
    )
