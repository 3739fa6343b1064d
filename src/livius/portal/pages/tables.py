"""The tables of a lakehouse: their schema, first rows and history, without Spark."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.lakehouse import LakehouseTable
from livius.domain.permissions import READ_DATA
from livius.portal.desk import Call, Desk, Live
from livius.portal.live import Look
from livius.portal.pages.lakehouse import BASE, show
from livius.portal.pages.workspaces import lakehouse_path, look_at_places
from livius.usecases import catalog, contents


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of tables."""
    return [
        desk.get(f"{BASE}/tables", tables),
        desk.get(f"{BASE}/live", live, passive=True),
        desk.get(f"{BASE}/tables/{{table}}", table),
    ]


async def tables(call: Call) -> Response:
    """Show which tables there are; where there is none, how to make one."""
    workspace, lakehouse = call.path("workspace"), call.path("lakehouse")
    _found, role = await catalog.get_workspace(call.context, call.caller, workspace)
    place, found = await catalog.list_tables(call.context, call.caller, workspace, lakehouse)
    return await show(
        call,
        "lakehouse_tables.html",
        tab="tables",
        tables=found,
        may_read=role in READ_DATA.roles,
        live=Live(f"{lakehouse_path(place)}/live", _look(found)),
    )


async def live(call: Call) -> Response:
    """Tell when a table came or went, whoever wrote it."""

    async def looker() -> Look:
        _place, found = await catalog.list_tables(
            call.context, call.caller, call.path("workspace"), call.path("lakehouse")
        )
        return _look(found)

    return call.stream(looker)


def _look(tables: Sequence[LakehouseTable]) -> Look:
    return look_at_places("tables", [(one.folder, one.format) for one in tables])


async def table(call: Call) -> Response:
    """Show one table."""
    workspace, lakehouse = call.path("workspace"), call.path("lakehouse")
    look = await contents.look_at_table(
        call.context, call.caller, workspace, lakehouse, call.path("table")
    )
    return await show(
        call, "lakehouse_table.html", tab="tables", name=call.path("table"), look=look
    )
