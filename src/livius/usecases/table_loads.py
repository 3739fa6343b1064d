"""Loading files of a lakehouse into a table (Fabric contract 7.3)."""

from __future__ import annotations

import dataclasses
from typing import Final

from livius.domain.audit import Action
from livius.domain.errors import Invalid, NotFound
from livius.domain.messages import Message
from livius.domain.operation import Operation, OperationKind
from livius.domain.permissions import CHANGE
from livius.domain.principal import Principal
from livius.domain.table_load import TableLoad, check_load, load_of
from livius.usecases.access import enter
from livius.usecases.audit_throttle import act
from livius.usecases.context import Context
from livius.usecases.operations import begin_operation, get_operation, new_operation

MOST_LOADS: Final = 20
"""Loads of a workspace that may wait or run: those of all workspaces share one queue."""


async def load_table(
    context: Context, caller: Principal, workspace: str, lakehouse: str, load: TableLoad
) -> Operation:
    """Begin to load files into a table, which the load makes if it is missing.

    Raises:
        Forbidden: the caller's role may only read.
        Invalid: such a load can't be done.
        Exhausted: as many loads of the workspace as it can have wait or run.
        Unavailable: the disk is full.
    """
    place = (await enter(context, caller, workspace, lakehouse, CHANGE)).lakehouse
    check_load(load)
    if load.schema is not None and not place.has_schemas:
        raise Invalid("InvalidInput", "This lakehouse has no schemas.", field="schema")
    context.capacity.check_disk()
    operation = new_operation(
        context,
        caller,
        OperationKind.LOAD_TABLE,
        workspace=place.workspace,
        item=place.id,
        request=load.as_request(),
    )
    entry = act(
        context.clock,
        Action.TABLE_LOAD,
        load.table_in(place).name,
        detail=f"{load.mode} from {load.path}",
        workspace=place.workspace,
        result="accepted",
    )
    audit = dataclasses.replace(entry, lakehouse=place.id)
    return await begin_operation(context, operation, most=MOST_LOADS, audit=audit)


async def get_load(
    context: Context, caller: Principal, workspace: str, lakehouse: str, operation: str
) -> Operation:
    """Return a load of a lakehouse.

    Raises:
        NotFound: the lakehouse has no such load, or the caller has no role in its workspace.
        Forbidden: the caller lacks a scope.
    """
    found = await get_operation(context, caller, operation)
    is_here = found.workspace == workspace.lower() and found.item == lakehouse.lower()
    if found.kind is not OperationKind.LOAD_TABLE or not is_here:
        raise NotFound("OperationNotFound", Message("There is no such load in this lakehouse."))
    return found


async def cancel_load(
    context: Context, caller: Principal, workspace: str, lakehouse: str, operation: str
) -> None:
    """Cancel a load; one that has ended stays as it is.

    The table has all rows or none: a cancel may come after the commit.

    Raises:
        NotFound: the lakehouse has no such load.
        Forbidden: the caller's role may only read.
    """
    place = (await enter(context, caller, workspace, lakehouse, CHANGE)).lakehouse
    found = await get_load(context, caller, workspace, lakehouse, operation)
    entry = act(
        context.clock,
        Action.OPERATION_CANCEL,
        load_of(found.request).table_in(place).name,
        workspace=place.workspace,
    )
    audit = dataclasses.replace(entry, lakehouse=place.id)
    await context.store.cancel_operation(found.id, at=context.clock.now(), audit=audit)
    context.wake_operations()
