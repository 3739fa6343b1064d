"""Workspaces: which there are, and the lakehouses of one; new ones of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.lakehouse import Lakehouse, Role, Workspace
from livius.domain.permissions import CHANGE, MANAGE, SEE_ROLES
from livius.portal.desk import ROOT, Call, Crumb, Desk, Live
from livius.portal.live import Look, version_of
from livius.portal.pages.applications import may_see
from livius.portal.words import N_
from livius.ports.changes import AnySession
from livius.usecases import catalog

BASE: Final = "/workspaces/{workspace}"
TABS: Final = (
    ("", N_("Lakehouses"), frozenset(Role)),
    ("access", N_("Manage access"), SEE_ROLES.roles),
    ("settings", N_("Workspace settings"), frozenset(Role)),
)
"""The tabs of a workspace: the end of the address, the label, and the roles that see it."""
PLACES_BEAT: Final = 3.0
"""Seconds between two looks at places: sessions and commands change them, and tell nobody."""


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of workspaces."""
    return [
        desk.get("/workspaces", workspaces),
        desk.post("/workspaces", create_workspace),
        desk.get(BASE, workspace),
        desk.get(f"{BASE}/live", live, passive=True),
        desk.post(f"{BASE}/lakehouses", create_lakehouse),
    ]


def workspace_path(one: Workspace) -> str:
    """Return where a workspace's page is."""
    return f"{ROOT}/workspaces/{one.id}"


def lakehouse_path(one: Lakehouse) -> str:
    """Return where a lakehouse's pages are."""
    return f"{ROOT}/workspaces/{one.workspace}/lakehouses/{one.id}"


def crumbs_to(call: Call, one: Workspace, *more: Crumb) -> list[Crumb]:
    """Return the way to a page of a workspace."""
    return [
        Crumb(call.tr("Workspaces"), f"{ROOT}/workspaces"),
        Crumb(one.name, workspace_path(one) if more else None),
        *more,
    ]


async def show(call: Call, template: str, *, tab: str, **values: Any) -> Response:
    """Return a tab of a workspace's page, or a part of one for htmx."""
    one, role = await catalog.get_workspace(call.context, call.caller, call.path("workspace"))
    values |= {
        "workspace": one,
        "role": role,
        "path": workspace_path(one),
        "may_change": role in CHANGE.roles,
        "may_manage": role in MANAGE.roles,
    }
    if template.startswith("_"):
        return call.fragment(template, **values)
    return call.page(
        template,
        title=one.name,
        place="workspaces",
        crumbs=crumbs_to(call, one),
        tab=tab,
        tabs=[(key, label) for key, label, roles in TABS if role in roles],
        **values,
    )


async def workspaces(call: Call) -> Response:
    """Show the workspaces in which the caller has a role."""
    found = await catalog.list_workspaces(call.context, call.caller)
    rows = [
        (one, role, len(await catalog.list_lakehouses(call.context, call.caller, one.id)))
        for one, role in found
    ]
    return call.page(
        "workspaces.html",
        title=call.tr("Workspaces"),
        place="workspaces",
        rows=rows,
        applications=await may_see(call),
    )


async def create_workspace(call: Call) -> Response:
    """Make a workspace, and lead to it."""
    made = await catalog.create_workspace(
        call.context, call.caller, call.sent("name").strip(), call.sent("description").strip()
    )
    return call.go(workspace_path(made))


async def workspace(call: Call) -> Response:
    """Show a workspace's lakehouses; where there is none, how to begin."""
    found = await _lakehouses(call)
    return await show(
        call,
        "workspace_lakehouses.html",
        tab="",
        lakehouses=found,
        live=Live(f"{call.request.url.path}/live", _look(found)),
    )


async def live(call: Call) -> Response:
    """Tell when a lakehouse came, went or was renamed."""

    async def looker() -> Look:
        return _look(await _lakehouses(call))

    return call.stream(looker)


async def _lakehouses(call: Call) -> Sequence[Lakehouse]:
    return await catalog.list_lakehouses(call.context, call.caller, call.path("workspace"))


def _look(lakehouses: Sequence[Lakehouse]) -> Look:
    return look_at_places("lakehouses", [(one.id, one.name, one.description) for one in lakehouses])


def look_at_places(part: str, shown: Sequence[object]) -> Look:
    """Return the version of a list of places, as a page shows it."""
    return Look(
        versions={part: version_of(repr(shown))},
        topics=(AnySession(),),
        beat=PLACES_BEAT,
    )


async def create_lakehouse(call: Call) -> Response:
    """Make a lakehouse, and lead to it."""
    made = await catalog.create_lakehouse(
        call.context,
        call.caller,
        call.path("workspace"),
        call.sent("name").strip(),
        call.sent("description").strip(),
    )
    return call.go(f"{lakehouse_path(made)}/settings/livy")
