"""Lakehouse settings: name, description, the end of it; and the Livy endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.permissions import CHANGE, READ_DATA
from livius.portal import samples
from livius.portal.desk import Call, Crumb, Desk
from livius.portal.pages.workspaces import crumbs_to, lakehouse_path, workspace_path
from livius.portal.words import N_
from livius.usecases import catalog

BASE: Final = "/workspaces/{workspace}/lakehouses/{lakehouse}"
TABS: Final[Sequence[tuple[str, str]]] = (
    ("tables", N_("Tables")),
    ("files", N_("Files")),
    ("settings/livy", N_("Livy endpoint")),
    ("settings", N_("About")),
)


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of a lakehouse's settings."""
    return [
        desk.get(BASE, entrance),
        desk.get(f"{BASE}/settings", about),
        desk.post(f"{BASE}/settings", change),
        desk.get(f"{BASE}/settings/livy", livy),
        desk.get(f"{BASE}/delete", ask_to_delete),
        desk.post(f"{BASE}/delete", delete),
    ]


async def show(call: Call, template: str, *, tab: str, **values: Any) -> Response:
    """Return a tab of a lakehouse's page, or a part of one for htmx."""
    workspace, role = await catalog.get_workspace(call.context, call.caller, call.path("workspace"))
    lakehouse = await catalog.get_lakehouse(
        call.context, call.caller, workspace.id, call.path("lakehouse")
    )
    values |= {
        "workspace": workspace,
        "lakehouse": lakehouse,
        "path": lakehouse_path(lakehouse),
        "may_change": role in CHANGE.roles,
        "url": samples.sessions_url(call.desk.facts, lakehouse),
    }
    if template.startswith("_"):
        return call.fragment(template, **values)
    return call.page(
        template,
        title=lakehouse.name,
        place="workspaces",
        crumbs=crumbs_to(call, workspace, Crumb(lakehouse.name)),
        tab=tab,
        tabs=[one for one in TABS if one[0] != "files" or role in READ_DATA.roles],
        **values,
    )


async def entrance(call: Call) -> Response:
    """Lead to the first tab."""
    return call.go(f"{call.request.url.path}/{TABS[0][0]}")


async def about(call: Call) -> Response:
    """Show ids and name, and the forms that change them."""
    return await show(call, "lakehouse_about.html", tab="settings")


async def change(call: Call) -> Response:
    """Rename it."""
    changed = await catalog.change_lakehouse(
        call.context,
        call.caller,
        call.path("workspace"),
        call.path("lakehouse"),
        name=call.sent("name").strip(),
        description=call.sent("description").strip(),
    )
    return call.go(f"{lakehouse_path(changed)}/settings")


async def livy(call: Call) -> Response:
    """Show the connection string, code that uses it, and the scopes."""
    lakehouse = await catalog.get_lakehouse(
        call.context, call.caller, call.path("workspace"), call.path("lakehouse")
    )
    return await show(
        call,
        "lakehouse_livy.html",
        tab="settings/livy",
        samples=samples.all_for(call.desk.facts, lakehouse),
        needed=samples.NEEDED,
        code_needed=samples.CODE_NEEDED,
        code_optional=samples.CODE_OPTIONAL,
    )


async def ask_to_delete(call: Call) -> Response:
    """Ask, and say what stays."""
    return await show(call, "_lakehouse_delete.html", tab="settings")


async def delete(call: Call) -> Response:
    """Remove it from the workspace; its files too where that was ticked."""
    workspace, _role = await catalog.get_workspace(
        call.context, call.caller, call.path("workspace")
    )
    await catalog.delete_lakehouse(
        call.context,
        call.caller,
        workspace.id,
        call.path("lakehouse"),
        hard=call.sent("files") == "delete",
    )
    return call.go(workspace_path(workspace))
