"""The explorer of a lakehouse: a tree of tables, views and folders beside their pages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.responses import Response

from livius.domain.errors import LiviusError
from livius.domain.lakehouse import Lakehouse, LakehouseTable
from livius.domain.permissions import READ_DATA, WRITE_DATA
from livius.portal.events import PageVersion
from livius.portal.pages import lakehouse
from livius.portal.pages.workspaces import lakehouse_path, look_at_places
from livius.portal.pages_base import Live, PageRequest
from livius.usecases import catalog, lakehouse_browser

_MOST: Final = 1000
"""Tables, or views, in the tree."""
_VIEWS_WITHIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class Leaf:
    """A table, view or folder in the tree; one without a path is not for the caller."""

    name: str
    path: str | None
    is_current: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The tables or views of a schema; of a lakehouse without schemas, all."""

    name: str
    leaves: Sequence[Leaf]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The folders of a folder: those before the one that leads on, that one, and the rest."""

    before: Sequence[Leaf]
    open: Leaf | None
    after: Sequence[Leaf]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What the tree shows. ``views`` is None where the metastore does not answer."""

    tables: Sequence[Group]
    table_count: int
    views: Sequence[Group] | None
    view_count: int
    levels: Sequence[Level]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The part of the lakehouse that a page is about."""

    table: str = ""
    view: str = ""
    folders: Sequence[str] | None = None


async def show(
    request: PageRequest, template: str, *, tab: str, selected: Selected, **values: Any
) -> Response:
    """Return a page of the explorer."""
    where = request.path("workspace"), request.path("lakehouse")
    place, tables = await catalog.list_tables(request.context, request.caller, *where)
    workspace, role = await catalog.get_workspace(request.context, request.caller, where[0])
    may_read = role in READ_DATA.roles
    tree = await _tree(request, place, tables, selected, may_read=may_read)
    request.context.browser.expect_table()
    return lakehouse.render(
        request,
        template,
        workspace,
        role,
        place,
        tab=tab,
        tree=tree,
        selected=selected,
        tables=tables,
        may_read=may_read,
        may_write=role in WRITE_DATA.roles,
        is_apart=request.context.rules.apart,
        live=values.pop("live", None) or Live(f"{lakehouse_path(place)}/live", look(tables)),
        **values,
    )


def look(tables: Sequence[LakehouseTable]) -> PageVersion:
    """Return the version of the list of tables."""
    return look_at_places("tables", [(one.name, one.changed_at) for one in tables])


def table_path(place: Lakehouse, name: str) -> str:
    """Return the address of a table's page."""
    return f"{lakehouse_path(place)}/tables/{quote(name, safe='')}"


def folder_path(place: Lakehouse, parts: Sequence[str]) -> str:
    """Return the address of a folder's or file's page."""
    query = f"?{urlencode({'path': '/'.join(parts)})}" if parts else ""
    return f"{lakehouse_path(place)}/files{query}"


async def _tree(
    request: PageRequest,
    place: Lakehouse,
    tables: Sequence[LakehouseTable],
    selected: Selected,
    *,
    may_read: bool,
) -> Tree:
    views = await _views(request)
    names = [one.name for one in tables]
    levels: Sequence[Level] = ()
    if may_read:
        levels = await _levels(request, place, selected.folders or ())
    return Tree(
        tables=_groups(place, names[:_MOST], selected.table, "tables", may_read=may_read),
        table_count=len(names),
        views=None
        if views is None
        else _groups(place, views[:_MOST], selected.view, "views", may_read=may_read),
        view_count=len(views or ()),
        levels=levels,
        is_cut=len(names) > _MOST,
    )


async def _views(request: PageRequest) -> Sequence[str] | None:
    try:
        async with asyncio.timeout(_VIEWS_WITHIN):
            return await lakehouse_browser.list_views(
                request.context,
                request.caller,
                request.path("workspace"),
                request.path("lakehouse"),
            )
    except (LiviusError, TimeoutError):
        return None


def _groups(
    place: Lakehouse, names: Sequence[str], current: str, kind: str, *, may_read: bool
) -> Sequence[Group]:
    base = lakehouse_path(place)

    def leaf(name: str) -> Leaf:
        shown = name.partition(".")[2] if place.has_schemas else name
        path = f"{base}/{kind}/{quote(name, safe='')}" if may_read else None
        return Leaf(shown, path, name == current)

    def schema(name: str) -> str:
        return name.partition(".")[0] if place.has_schemas else ""

    return [Group(name, [leaf(one) for one in own]) for name, own in groupby(names, key=schema)]


async def _levels(request: PageRequest, place: Lakehouse, parts: Sequence[str]) -> Sequence[Level]:
    found = await lakehouse_browser.folders_to(
        request.context, request.caller, place.workspace, place.id, "/".join(parts)
    )
    levels = []
    for depth, names in enumerate(found):
        on_the_way = parts[depth] if depth < len(parts) else None
        above = list(parts[:depth])
        leaves = [
            Leaf(name, folder_path(place, [*above, name]), [*above, name] == list(parts))
            for name in names
        ]
        at = names.index(on_the_way) if on_the_way in names else None
        levels.append(
            Level(
                before=leaves if at is None else leaves[:at],
                open=None if at is None else leaves[at],
                after=() if at is None else leaves[at + 1 :],
            )
        )
    return levels
