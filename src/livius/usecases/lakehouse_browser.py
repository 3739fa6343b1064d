"""Reads a lakehouse: its files and its tables' rows (roles as for running code)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from livius.domain.contents import Entry, TablePreview, parts_of
from livius.domain.lakehouse import Lakehouse
from livius.domain.permissions import READ_DATA
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


async def preview_table(
    context: Context, caller: Principal, workspace: str, lakehouse: str, table: str
) -> TablePreview:
    """Return a table's schema, first rows and newest versions, read without Spark.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such table.
        Unavailable: it can't be read.
    """
    place = await _enter(context, caller, workspace, lakehouse)
    return await context.browser.table(place.workspace, place.id, table)


async def _enter(context: Context, caller: Principal, workspace: str, lakehouse: str) -> Lakehouse:
    return (await enter(context, caller, workspace, lakehouse, READ_DATA)).lakehouse
