"""Workspaces: which there are, what is in one, new ones."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.lakehouse import Lakehouse, Workspace
from livius.domain.permissions import CHANGE
from livius.portal.desk import ROOT, Call, Crumb, Desk
from livius.portal.pages.applications import may_see
from livius.usecases import catalog


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of workspaces."""
    return [
        desk.get("/workspaces", workspaces),
        desk.post("/workspaces", create_workspace),
        desk.get("/workspaces/{workspace}", workspace),
        desk.post("/workspaces/{workspace}/lakehouses", create_lakehouse),
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
    one, role = await catalog.get_workspace(call.context, call.caller, call.path("workspace"))
    return call.page(
        "workspace.html",
        title=one.name,
        place="workspaces",
        crumbs=crumbs_to(call, one),
        workspace=one,
        role=role,
        may_change=role in CHANGE.roles,
        lakehouses=await catalog.list_lakehouses(call.context, call.caller, one.id),
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
