"""The tables of a lakehouse: their schema, first rows and history, without Spark."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.lakehouse import LakehouseTable
from livius.domain.permissions import READ_DATA
from livius.portal.events import PageVersion
from livius.portal.pages.lakehouse import BASE, show
from livius.portal.pages.workspaces import lakehouse_path, look_at_places
from livius.portal.pages_base import Live, PageRequest, Portal
from livius.usecases import catalog, lakehouse_browser


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of tables."""
    return [
        portal.get(f"{BASE}/tables", tables),
        portal.get(f"{BASE}/live", live, passive=True),
        portal.get(f"{BASE}/tables/{{table}}", table),
    ]


async def tables(request: PageRequest) -> Response:
    """Show the tables; if there is none, how to make one."""
    workspace, lakehouse = request.path("workspace"), request.path("lakehouse")
    _found, role = await catalog.get_workspace(request.context, request.caller, workspace)
    place, found = await catalog.list_tables(request.context, request.caller, workspace, lakehouse)
    return await show(
        request,
        "lakehouse_tables.html",
        tab="tables",
        tables=found,
        may_read=role in READ_DATA.roles,
        live=Live(f"{lakehouse_path(place)}/live", _look(found)),
    )


async def live(request: PageRequest) -> Response:
    """Stream added and removed tables."""

    async def looker() -> PageVersion:
        _place, found = await catalog.list_tables(
            request.context, request.caller, request.path("workspace"), request.path("lakehouse")
        )
        return _look(found)

    return request.stream(looker)


def _look(tables: Sequence[LakehouseTable]) -> PageVersion:
    return look_at_places("tables", [(one.folder, one.format) for one in tables])


async def table(request: PageRequest) -> Response:
    """Show one table."""
    workspace, lakehouse = request.path("workspace"), request.path("lakehouse")
    look = await lakehouse_browser.preview_table(
        request.context, request.caller, workspace, lakehouse, request.path("table")
    )
    return await show(
        request, "lakehouse_table.html", tab="tables", name=request.path("table"), look=look
    )
