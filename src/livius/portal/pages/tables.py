"""The tables of a lakehouse: their schema, first rows and history, without Spark."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.permissions import READ_DATA
from livius.portal.desk import Call, Desk
from livius.portal.pages.lakehouse import BASE, show
from livius.usecases import catalog, contents


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of tables."""
    return [
        desk.get(f"{BASE}/tables", tables),
        desk.get(f"{BASE}/tables/{{table}}", table),
    ]


async def tables(call: Call) -> Response:
    """Show which tables there are; where there is none, how to make one."""
    workspace, lakehouse = call.path("workspace"), call.path("lakehouse")
    _found, role = await catalog.get_workspace(call.context, call.caller, workspace)
    _lakehouse, found = await catalog.list_tables(call.context, call.caller, workspace, lakehouse)
    return await show(
        call,
        "lakehouse_tables.html",
        tab="tables",
        tables=found,
        may_read=role in READ_DATA.roles,
    )


async def table(call: Call) -> Response:
    """Show one table."""
    workspace, lakehouse = call.path("workspace"), call.path("lakehouse")
    look = await contents.look_at_table(
        call.context, call.caller, workspace, lakehouse, call.path("table")
    )
    return await show(
        call, "lakehouse_table.html", tab="tables", name=call.path("table"), look=look
    )
