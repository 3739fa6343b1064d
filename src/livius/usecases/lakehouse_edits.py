"""Changes of a lakehouse's files and tables without a session (roles as for running code)."""

from __future__ import annotations

from functools import partial
from typing import Final

from livius.domain.audit import Action, AuditEntry, shortened
from livius.domain.contents import Area, Extent, parts_of
from livius.domain.errors import Invalid, NotFound
from livius.domain.lakehouse import Lakehouse, LakehouseTable
from livius.domain.messages import Message
from livius.domain.permissions import READ_DATA, WRITE_DATA
from livius.domain.principal import Principal
from livius.usecases.access import enter
from livius.usecases.audit_throttle import present_actor
from livius.usecases.context import Context

_LONGEST_PATH: Final = 1000


async def make_folder(
    context: Context, caller: Principal, workspace: str, lakehouse: str, path: str
) -> None:
    """Make a folder below ``Files``, in one that exists.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such folder.
        Conflict: the name is taken.
        Invalid: no folder can have the name.
    """
    place = (await enter(context, caller, workspace, lakehouse, WRITE_DATA)).lakehouse
    parts = parts_of(path)
    if not parts or not path.isprintable() or len(path) > _LONGEST_PATH:
        raise Invalid("InvalidInput", Message("A folder needs a name of printable characters."))
    context.capacity.check_disk()
    await context.edits.make_folder(place.workspace, place.id, parts)
    await _note(context, caller, place, Action.FOLDER_CREATE, "/".join(parts))


async def measure_path(
    context: Context, caller: Principal, workspace: str, lakehouse: str, path: str
) -> Extent:
    """Return how much a file or folder below ``Files`` is.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such path.
    """
    place = (await enter(context, caller, workspace, lakehouse, READ_DATA)).lakehouse
    return await context.edits.measure(place.workspace, place.id, Area.FILES, parts_of(path))


async def measure_table(
    context: Context, caller: Principal, workspace: str, lakehouse: str, table: str
) -> Extent:
    """Return how much a table's folder is: with files of earlier versions, and the log.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such table.
    """
    place = (await enter(context, caller, workspace, lakehouse, READ_DATA)).lakehouse
    parts = _table(place, table).parts
    return await context.edits.measure(place.workspace, place.id, Area.TABLES, parts)


async def delete_path(
    context: Context, caller: Principal, workspace: str, lakehouse: str, path: str
) -> None:
    """Delete a file, or a folder with all that is in it, below ``Files``.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such path; also for the second of two callers who delete it.
    """
    place = (await enter(context, caller, workspace, lakehouse, WRITE_DATA)).lakehouse
    parts = parts_of(path)
    await context.edits.remove(place.workspace, place.id, parts)
    await _note(context, caller, place, Action.FILE_DELETE, "/".join(parts))


async def delete_table(
    context: Context, caller: Principal, workspace: str, lakehouse: str, table: str
) -> None:
    """Delete a table: its entry in the metastore, then its files with all versions.

    Raises:
        Forbidden: the caller lacks a scope or a role.
        NotFound: there is no such table; also for the second of two callers who delete it.
        Conflict: a load of it runs, or another caller deletes it.
        Unavailable: the metastore does not answer; nothing was deleted.
    """
    place = (await enter(context, caller, workspace, lakehouse, WRITE_DATA)).lakehouse
    found = _table(place, table)
    await context.edits.remove_table(
        place.workspace,
        place.id,
        found.parts,
        partial(context.metastore.forget, place, found),
    )
    await _note(context, caller, place, Action.TABLE_DELETE, table)


def _table(place: Lakehouse, name: str) -> LakehouseTable:
    *schema, folder = place.table_parts(name)
    if place.has_schemas and not schema:
        raise NotFound("PathNotFound", Message("There is no such table in this lakehouse."))
    return LakehouseTable(folder=folder, format="delta", schema=schema[0] if schema else None)


async def _note(
    context: Context, caller: Principal, place: Lakehouse, action: Action, target: str
) -> None:
    await context.store.note(
        AuditEntry(
            at=context.clock.now(),
            action=action,
            workspace=place.workspace,
            lakehouse=place.id,
            result="ok",
            actor=present_actor(caller),
            target=shortened(target),
        )
    )
