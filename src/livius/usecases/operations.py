"""Long-running operations: begin, look at, cancel (Fabric contract 7.7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from livius.domain.audit import AuditEntry
from livius.domain.errors import Conflict, Exhausted, LiviusError, NotFound
from livius.domain.ids import OperationId, PrincipalId, WorkspaceId, new_id, parse_id
from livius.domain.messages import Message
from livius.domain.operation import Operation, OperationKind, Phase
from livius.domain.permissions import SEE_OPERATION, check_scopes
from livius.domain.principal import Principal
from livius.ports.notifications import OperationChanged
from livius.usecases.context import Context
from livius.usecases.held_reads import read_settled

_RETRY_AFTER: Final = timedelta(seconds=30)


def new_operation(
    context: Context,
    caller: Principal,
    kind: OperationKind,
    *,
    workspace: WorkspaceId,
    item: str,
    request: Mapping[str, Any] | None = None,
) -> Operation:
    """Return an operation that is to be recorded. The caller's right was checked."""
    now = context.clock.now()
    return Operation(
        id=OperationId(new_id()),
        kind=kind,
        workspace=workspace,
        item=item,
        requested_by=PrincipalId(caller.oid),
        request=request or {},
        created_at=now,
        updated_at=now,
    )


async def begin_operation(
    context: Context,
    operation: Operation,
    *,
    most: int | None = None,
    audit: AuditEntry | None = None,
) -> Operation:
    """Record an operation and have it run.

    Raises:
        Exhausted: its workspace has ``most`` of its kind that have not ended.
    """
    if not await context.store.add_operation(operation, most=most, audit=audit):
        raise Exhausted(
            "TooManyOperations",
            Message(
                "%(most)s operations of this kind wait or run in the workspace, and it can have no "
                "more. Send the request again once one of them has ended.",
                most=most,
            ),
            retry_after=_RETRY_AFTER,
        )
    context.wake_operations()
    return operation


async def get_operation(
    context: Context,
    caller: Principal,
    operation: str,
    *,
    long_poll: timedelta = timedelta(),
) -> Operation:
    """Return an operation; while it runs, only after up to ``long_poll``.

    Raises:
        NotFound: there is none, or the caller has no role in its workspace.
        Forbidden: the caller lacks a scope.
    """
    check_scopes(caller, SEE_OPERATION)
    identity = OperationId(parse_id(operation, what="Operation"))

    async def read() -> Operation:
        found = await context.store.operation(identity)
        if found is None or (
            await context.store.role(found.workspace, PrincipalId(caller.oid)) is None
        ):
            raise NotFound(
                "OperationNotFound",
                Message(
                    "There is no operation %(operation)s. Operations that have ended are removed "
                    "after a while.",
                    operation=identity,
                ),
            )
        return found

    return await read_settled(
        context,
        read,
        topic=lambda found: OperationChanged(found.id),
        is_on_the_way=lambda found: found.is_live,
        long_poll=long_poll,
    )


async def get_finished(context: Context, caller: Principal, operation: str) -> Operation:
    """Return a successful operation that has a result.

    Raises:
        NotFound: as for `get_operation`; also if the operation leads to no document.
        Conflict: it has not ended, or has failed.
    """
    found = await get_operation(context, caller, operation)
    if found.phase is Phase.SUCCEEDED:
        if found.result is None:
            raise NotFound(
                "OperationHasNoResult", Message("The operation succeeded; it has no result.")
            )
        return found
    if found.is_live:
        raise Conflict(
            "OperationNotCompleted",
            Message("The operation has not ended. Ask for its state until it has succeeded."),
        )
    raise failure(found)


def failure(operation: Operation) -> LiviusError:
    """Return the error with which an operation failed."""
    return Conflict(operation.error_code or "UnknownError", operation.error_message or "")
