"""Workspace settings: ids and name, the forms that change them, and the end of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER, ActivityState
from livius.domain.permissions import MANAGE
from livius.portal.desk import ROOT, Call, Desk
from livius.portal.pages.workspaces import BASE, show, workspace_path
from livius.usecases import catalog, monitoring
from livius.usecases.access import enter_workspace
from livius.usecases.monitoring import Wanted

_COUNTED: Final = 1000


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of a workspace's settings."""
    return [
        desk.get(f"{BASE}/settings", settings),
        desk.post(f"{BASE}/settings", change),
        desk.get(f"{BASE}/delete", ask_to_delete),
        desk.post(f"{BASE}/delete", delete),
    ]


async def settings(call: Call) -> Response:
    """Show ids and name; to Admins the forms that change them."""
    return await show(call, "workspace_settings.html", tab="settings")


async def change(call: Call) -> Response:
    """Rename it."""
    changed = await catalog.change_workspace(
        call.context,
        call.caller,
        call.path("workspace"),
        name=call.sent("name").strip(),
        description=call.sent("description").strip(),
    )
    return call.go(f"{workspace_path(changed)}/settings")


async def ask_to_delete(call: Call) -> Response:
    """Ask, and name what goes and what stays."""
    workspace = call.path("workspace")
    await enter_workspace(call.context, call.caller, workspace, MANAGE)
    live = await monitoring.list_activities(
        call.context,
        call.caller,
        workspace,
        Wanted(states=frozenset(ActivityState) - OVER),
        limit=_COUNTED,
    )
    return await show(
        call,
        "_workspace_delete.html",
        tab="settings",
        lakehouses=await catalog.list_lakehouses(call.context, call.caller, workspace),
        sessions=len(live.activities),
    )


async def delete(call: Call) -> Response:
    """Remove it, and lead to those that are left."""
    await catalog.delete_workspace(call.context, call.caller, call.path("workspace"))
    return call.go(f"{ROOT}/workspaces")
