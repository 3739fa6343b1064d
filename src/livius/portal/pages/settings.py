"""The Settings area: one navigation for a person's own settings, a workspace's, and the server's.

Its pages are `workspace_settings`, `access`, `spark_settings`, `users`, `applications` and
`application`; the first one, here, has what is the person's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.lakehouse import Role, Workspace
from livius.domain.permissions import SEE_ROLES
from livius.portal.labels import N_
from livius.portal.pages_base import ROOT, Crumb, PageRequest, Portal
from livius.usecases import catalog

BASE: Final = "/settings"
_MOST: Final = 30
"""The most workspaces in the navigation; the list has them all."""


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of the area's navigation."""

    path: str
    icon: str
    label: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Navigation:
    """The area's navigation. ``others`` are the same page of further workspaces."""

    own: Sequence[Link]
    workspace: Workspace | None
    of_workspace: Sequence[Link]
    others: Sequence[tuple[str, str]]
    of_server: Sequence[Link]


OF_WORKSPACE: Final = (
    ("settings", "info", N_("General"), frozenset(Role)),
    ("access", "access", N_("Manage access"), SEE_ROLES.roles),
    ("spark", "spark", N_("Spark settings"), frozenset(Role)),
)
"""The pages of a workspace: end of the address, icon, label, roles that see it."""


def routes(portal: Portal) -> Sequence[Route]:
    """Return the route of the area's first page."""
    return [portal.get(BASE, settings)]


async def settings(request: PageRequest) -> Response:
    """Show the person's own settings: appearance, language, account, roles."""
    found = await catalog.list_workspaces(request.context, request.caller)
    return await show(
        request,
        "settings_own.html",
        key="own",
        title=request.tr("Your settings"),
        workspaces=sorted(found, key=lambda one: one[0].name.lower()),
        themes=(("auto", N_("Same as system")), ("light", N_("Light")), ("dark", N_("Dark"))),
    )


async def show(
    request: PageRequest,
    template: str,
    *,
    key: str,
    title: str,
    of: Workspace | None = None,
    crumbs: Sequence[Crumb] = (),
    **values: Any,
) -> Response:
    """Return a page of the area: of a workspace, else of the server or the person.

    ``key`` is the end of its address.
    """
    settings_crumb = Crumb(request.tr("Settings"), ROOT + BASE)
    return request.page(
        template,
        title=title,
        place="settings",
        crumbs=[settings_crumb, *crumbs] if crumbs else [settings_crumb, Crumb(title)],
        areas=await _navigation(request, key, of),
        **values,
    )


async def _navigation(request: PageRequest, key: str, workspace: Workspace | None) -> Navigation:
    found = sorted(
        await catalog.list_workspaces(request.context, request.caller),
        key=lambda one: one[0].name.lower(),
    )
    shown, role = next(
        ((one, role) for one, role in found if workspace is None or one.id == workspace.id),
        (None, Role.VIEWER),
    )
    of_workspace = []
    if shown is not None:
        base = f"{ROOT}/workspaces/{shown.id}"
        of_workspace = [
            Link(f"{base}/{name}", icon, label, workspace is not None and name == key)
            for name, icon, label, roles in OF_WORKSPACE
            if role in roles
        ]
    page = key if workspace is not None and key != "access" else "settings"
    of_server = []
    if request.context.directory is not None:
        of_server = [
            Link(f"{ROOT}/users", "people", N_("Users"), key == "users"),
            Link(f"{ROOT}/applications", "key", N_("Client applications"), key == "applications"),
        ]
    return Navigation(
        own=[Link(ROOT + BASE, "theme", N_("Your settings"), key == "own")],
        workspace=shown,
        of_workspace=of_workspace,
        others=[
            (f"{ROOT}/workspaces/{one.id}/{page}", one.name)
            for one, _role in found[:_MOST]
            if one is not shown
        ],
        of_server=of_server,
    )
