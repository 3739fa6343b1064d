"""Lakehouse settings: name, description and deletion; and the Livy endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.lakehouse import Lakehouse, Role, Workspace
from livius.domain.permissions import CHANGE, READ_DATA, RUN
from livius.portal import samples
from livius.portal.labels import N_
from livius.portal.pages.workspaces import crumbs_to, lakehouse_path, workspace_path
from livius.portal.pages_base import ROOT, Crumb, PageRequest, Portal
from livius.usecases import catalog

BASE: Final = "/workspaces/{workspace}/lakehouses/{lakehouse}"
TABS: Final[Sequence[tuple[str, str]]] = (
    ("tables", N_("Tables")),
    ("files", N_("Files")),
    ("settings/livy", N_("Livy endpoint")),
    ("settings", N_("About")),
)


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of a lakehouse's settings."""
    return [
        portal.get(BASE, entrance),
        portal.get(f"{BASE}/settings", about),
        portal.post(f"{BASE}/settings", change),
        portal.get(f"{BASE}/settings/livy", livy),
        portal.get(f"{BASE}/delete", ask_to_delete),
        portal.post(f"{BASE}/delete", delete),
    ]


def lakehouse_base(request: PageRequest) -> str:
    """Return the address of the lakehouse that a request names."""
    where = BASE.format(workspace=request.path("workspace"), lakehouse=request.path("lakehouse"))
    return f"{ROOT}{where}"


async def show(request: PageRequest, template: str, *, tab: str, **values: Any) -> Response:
    """Return a tab of a lakehouse's page, or a part of one for htmx."""
    workspace, role = await catalog.get_workspace(
        request.context, request.caller, request.path("workspace")
    )
    lakehouse = await catalog.get_lakehouse(
        request.context, request.caller, workspace.id, request.path("lakehouse")
    )
    return render(request, template, workspace, role, lakehouse, tab=tab, **values)


def render(
    request: PageRequest,
    template: str,
    workspace: Workspace,
    role: Role,
    lakehouse: Lakehouse,
    *,
    tab: str,
    **values: Any,
) -> Response:
    """Return the same of a lakehouse that was read, and the caller's role in its workspace."""
    values |= {
        "workspace": workspace,
        "lakehouse": lakehouse,
        "path": lakehouse_path(lakehouse),
        "may_change": role in CHANGE.roles,
        "may_run": role in RUN.roles,
        "url": samples.sessions_url(request.portal.facts, lakehouse),
    }
    if template.startswith("_"):
        return request.fragment(template, **values)
    return request.page(
        template,
        title=lakehouse.name,
        place="workspaces",
        crumbs=crumbs_to(request, workspace, Crumb(lakehouse.name)),
        tab=tab,
        tabs=[one for one in TABS if one[0] != "files" or role in READ_DATA.roles],
        **values,
    )


async def entrance(request: PageRequest) -> Response:
    """Redirect to the first tab."""
    return request.go(f"{request.http.url.path}/{TABS[0][0]}")


async def about(request: PageRequest) -> Response:
    """Show ids and name, and the forms that change them."""
    return await show(request, "lakehouse_about.html", tab="settings")


async def change(request: PageRequest) -> Response:
    """Rename it."""
    changed = await catalog.change_lakehouse(
        request.context,
        request.caller,
        request.path("workspace"),
        request.path("lakehouse"),
        name=request.sent("name").strip(),
        description=request.sent("description").strip(),
    )
    return request.go(f"{lakehouse_path(changed)}/settings")


async def livy(request: PageRequest) -> Response:
    """Show the connection string, code that uses it, and the scopes."""
    lakehouse = await catalog.get_lakehouse(
        request.context, request.caller, request.path("workspace"), request.path("lakehouse")
    )
    return await show(
        request,
        "lakehouse_livy.html",
        tab="settings/livy",
        samples=samples.all_for(request.portal.facts, lakehouse),
        needed=samples.NEEDED,
        code_needed=samples.CODE_NEEDED,
        code_optional=samples.CODE_OPTIONAL,
    )


async def ask_to_delete(request: PageRequest) -> Response:
    """Ask, and list what will stay."""
    return await show(request, "_lakehouse_delete.html", tab="settings")


async def delete(request: PageRequest) -> Response:
    """Delete it; its files too, if that was ticked."""
    workspace, _role = await catalog.get_workspace(
        request.context, request.caller, request.path("workspace")
    )
    await catalog.delete_lakehouse(
        request.context,
        request.caller,
        workspace.id,
        request.path("lakehouse"),
        hard=request.sent("files") == "delete",
    )
    return request.go(workspace_path(workspace))
