"""Workspace settings: ids and name, the forms that change them, and deletion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER, ActivityState
from livius.domain.permissions import MANAGE
from livius.portal.pages.workspaces import BASE, show, workspace_path
from livius.portal.pages_base import ROOT, PageRequest, Portal
from livius.usecases import catalog, monitoring
from livius.usecases.access import enter_workspace
from livius.usecases.monitoring import Wanted

_COUNTED: Final = 1000


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of a workspace's settings."""
    return [
        portal.get(f"{BASE}/settings", settings),
        portal.post(f"{BASE}/settings", change),
        portal.get(f"{BASE}/delete", ask_to_delete),
        portal.post(f"{BASE}/delete", delete),
    ]


async def settings(request: PageRequest) -> Response:
    """Show ids and name; to Admins the forms that change them."""
    return await show(request, "workspace_settings.html", tab="settings")


async def change(request: PageRequest) -> Response:
    """Rename it."""
    changed = await catalog.change_workspace(
        request.context,
        request.caller,
        request.path("workspace"),
        name=request.sent("name").strip(),
        description=request.sent("description").strip(),
    )
    return request.go(f"{workspace_path(changed)}/settings", request.tr("Saved."))


async def ask_to_delete(request: PageRequest) -> Response:
    """Ask, and list what will be deleted and what will stay."""
    workspace = request.path("workspace")
    await enter_workspace(request.context, request.caller, workspace, MANAGE)
    live = await monitoring.list_activities(
        request.context,
        request.caller,
        workspace,
        Wanted(states=frozenset(ActivityState) - OVER),
        limit=_COUNTED,
    )
    return await show(
        request,
        "_workspace_delete.html",
        tab="settings",
        lakehouses=await catalog.list_lakehouses(request.context, request.caller, workspace),
        sessions=len(live.activities),
    )


async def delete(request: PageRequest) -> Response:
    """Delete it, and redirect to the list."""
    await catalog.delete_workspace(request.context, request.caller, request.path("workspace"))
    return request.go(f"{ROOT}/workspaces", request.tr("The workspace is deleted."))
