"""The tables and views of a lakehouse, without Spark."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.contents import Commit, TableDescription, TablePart
from livius.domain.errors import Conflict, Unavailable
from livius.language import translations
from livius.portal import grids, spellings
from livius.portal.events import PageVersion
from livius.portal.grids import Grid
from livius.portal.labels import N_
from livius.portal.pages import explorer, lakehouse
from livius.portal.pages.explorer import Selected
from livius.portal.pages.lakehouse import BASE, lakehouse_base
from livius.portal.pages_base import Handler, PageRequest, Portal
from livius.portal.table_history import sentence
from livius.usecases import catalog, lakehouse_browser, lakehouse_edits

_PARTS: Final[Mapping[str, tuple[str, Collection[TablePart]]]] = {
    "": (N_("Preview"), {TablePart.ROWS}),
    "columns": (N_("Columns"), ()),
    "history": (N_("History"), {TablePart.HISTORY}),
    "files": (N_("Data files"), {TablePart.FILES}),
}
"""The pages of a table: end of the address, label, and what they read."""


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of tables and views."""
    return [
        portal.get(f"{BASE}/tables", tables),
        portal.get(f"{BASE}/live", live, passive=True),
        portal.get(f"{BASE}/views/{{view}}", view),
        portal.get(f"{BASE}/tables/{{table}}/delete", ask_to_delete),
        portal.post(f"{BASE}/tables/{{table}}/delete", delete),
        *(
            portal.get(f"{BASE}/tables/{{table}}{f'/{key}' if key else ''}", _page_of(key))
            for key in _PARTS
        ),
    ]


async def tables(request: PageRequest) -> Response:
    """Show the tables; if there is none, how to make one."""
    return await explorer.show(request, "lakehouse_tables.html", tab="tables", selected=Selected())


async def live(request: PageRequest) -> Response:
    """Stream added, changed and removed tables."""

    async def looker() -> PageVersion:
        _place, found = await catalog.list_tables(
            request.context, request.caller, request.path("workspace"), request.path("lakehouse")
        )
        return explorer.look(found)

    return request.stream(looker)


def _page_of(key: str) -> Handler:
    async def page(request: PageRequest) -> Response:
        """Show a part of a table."""
        return await _table(request, key)

    return page


async def _table(request: PageRequest, key: str) -> Response:
    name = request.path("table")
    where = request.path("workspace"), request.path("lakehouse")
    found = await lakehouse_browser.describe_table(
        request.context, request.caller, *where, name, _PARTS[key][1]
    )
    place = await catalog.get_lakehouse(request.context, request.caller, *where)
    sql = spellings.table_in_sql(place, name)
    return await explorer.show(
        request,
        f"table_{key or 'preview'}.html",
        tab="tables",
        selected=Selected(table=name),
        name=name,
        found=found,
        about=found.facts,
        own_path=explorer.table_path(place, name),
        parts=[(one, label) for one, (label, _wanted) in _PARTS.items()],
        part=key,
        spellings=spellings.of_table(place, name),
        **_values(request, key, found, sql),
    )


def _values(request: PageRequest, key: str, found: TableDescription, sql: str) -> Mapping[str, Any]:
    if key == "history":
        words = translations(request.language)
        restore = f"RESTORE {sql} TO VERSION AS OF"
        return {
            "commits": [
                (one, sentence(one, words), _details(one), f"{restore} {one.version}")
                for one in found.commits
            ]
        }
    if key:
        return {}
    facts = found.facts
    is_counted = found.more_rows and facts.rows is not None and not facts.may_have_fewer_rows
    grid = Grid(
        columns=[grids.column(one.name, one.type) for one in found.columns],
        rows=found.rows,
        total=facts.rows or 0 if is_counted else len(found.rows),
        is_cut=found.more_rows and not is_counted,
    )
    return {"grid_of_rows": grid}


def _details(commit: Commit) -> str:
    """Return the parameters and metrics of a commit as text."""
    values = {
        "operation": commit.operation,
        "parameters": dict(commit.parameters),
        "metrics": dict(commit.metrics),
    }
    return json.dumps(values, indent=2, ensure_ascii=False).encode("utf-8", "replace").decode()


async def ask_to_delete(request: PageRequest) -> Response:
    """Ask, and say what will be lost."""
    name = request.path("table")
    where = request.path("workspace"), request.path("lakehouse")
    extent = await lakehouse_edits.measure_table(request.context, request.caller, *where, name)
    facts = None
    with suppress(Conflict, Unavailable):  # a table that can't be read can still be deleted
        facts = (
            await lakehouse_browser.describe_table(request.context, request.caller, *where, name)
        ).facts
    return await lakehouse.show(
        request,
        "_table_delete.html",
        tab="tables",
        name=name,
        extent=extent,
        about=facts,
        own_path=f"{lakehouse_base(request)}/tables/{quote(name, safe='')}",
    )


async def delete(request: PageRequest) -> Response:
    """Delete a table, and redirect to the list."""
    await lakehouse_edits.delete_table(
        request.context,
        request.caller,
        request.path("workspace"),
        request.path("lakehouse"),
        request.path("table"),
    )
    done = request.tr("%(name)s is deleted.", name=request.path("table"))
    return request.go(f"{lakehouse_base(request)}/tables", done)


async def view(request: PageRequest) -> Response:
    """Show a view's columns and query."""
    name = request.path("view")
    where = request.path("workspace"), request.path("lakehouse")
    found = await lakehouse_browser.describe_view(request.context, request.caller, *where, name)
    place = await catalog.get_lakehouse(request.context, request.caller, *where)
    return await explorer.show(
        request,
        "lakehouse_view.html",
        tab="tables",
        selected=Selected(view=name),
        name=name,
        found=found,
        sql=spellings.table_in_sql(place, name),
    )
