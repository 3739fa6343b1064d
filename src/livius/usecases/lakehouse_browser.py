"""Reads a lakehouse: its files and its tables' rows (roles as for running code)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager

from livius.domain.contents import Entry, TableDescription, TablePart, View, parts_of
from livius.domain.lakehouse import Lakehouse
from livius.domain.permissions import LOOK, READ_DATA
from livius.domain.principal import Principal
from livius.ports.lakehouse_browser import OpenFile
from livius.usecases.access import enter
from livius.usecases.context import Context


async def list_folder(
    context: Context, caller: Principal, workspace: str, lakehouse: str, path: str
) -> Sequence[Entry] | None:
    """Return the entries of a folder below ``Files/``; None where the path names a file.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such path.
    """
    place = await _enter(context, caller, workspace, lakehouse)
    return await context.browser.folder(place.workspace, place.id, parts_of(path))


async def folders_to(
    context: Context, caller: Principal, workspace: str, lakehouse: str, path: str
) -> Sequence[Sequence[str]]:
    """Return the names of the folders in ``Files``, and in each folder on the way to a path.

    Raises:
        Forbidden: the caller lacks a scope or a role.
    """
    place = await _enter(context, caller, workspace, lakehouse)
    return await context.browser.folders(place.workspace, place.id, parts_of(path))


async def list_views(
    context: Context, caller: Principal, workspace: str, lakehouse: str
) -> Sequence[str]:
    """Return the names of a lakehouse's views.

    Raises:
        Forbidden: the caller lacks a scope, or has no role.
        Unavailable: the metastore does not answer.
    """
    place = (await enter(context, caller, workspace, lakehouse, LOOK)).lakehouse
    return await context.metastore.views(place)


async def describe_view(
    context: Context, caller: Principal, workspace: str, lakehouse: str, view: str
) -> View:
    """Return a view with its query.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such view.
        Unavailable: the metastore does not answer.
    """
    return await context.metastore.view(await _enter(context, caller, workspace, lakehouse), view)


async def open_file(
    context: Context, caller: Principal, workspace: str, lakehouse: str, path: str
) -> AbstractAsyncContextManager[OpenFile]:
    """Return a file below ``Files/``, to be opened.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such path.
    """
    place = await _enter(context, caller, workspace, lakehouse)
    return context.browser.open(place.workspace, place.id, parts_of(path))


async def describe_table(
    context: Context,
    caller: Principal,
    workspace: str,
    lakehouse: str,
    table: str,
    wanted: Collection[TablePart] = (),
) -> TableDescription:
    """Return a table's facts, its columns, and what else is wanted, read without Spark.

    In a lakehouse with schemas, the table's name begins with its schema's and a dot.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such table.
        Unavailable: it can't be read.
    """
    place = await _enter(context, caller, workspace, lakehouse)
    parts = place.table_parts(table)
    return await context.browser.table(place.workspace, place.id, parts, wanted)


async def _enter(context: Context, caller: Principal, workspace: str, lakehouse: str) -> Lakehouse:
    return (await enter(context, caller, workspace, lakehouse, READ_DATA)).lakehouse
