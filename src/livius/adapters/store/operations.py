"""Long-running operations, in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from livius.adapters.store.audit import write, write_if
from livius.adapters.store.engine import Transactions
from livius.adapters.store.moves import guarded
from livius.adapters.store.schema import OPERATIONS
from livius.domain.audit import AuditEntry
from livius.domain.ids import OperationId
from livius.domain.operation import (
    LIVE,
    TRANSITIONS,
    Event,
    Goal,
    Operation,
    OperationKind,
    Phase,
)

_OPERATION = select(OPERATIONS).where(OPERATIONS.c.id == bindparam("of"))
_IS_LIVE = OPERATIONS.c.phase.in_(LIVE)
_MOVES = {event: guarded(OPERATIONS, TRANSITIONS, event) for event in Event}


class SqlOperations:
    """Implements `livius.ports.operations.Operations`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def add_operation(
        self,
        operation: Operation,
        *,
        alone: bool = False,
        most: int | None = None,
        audit: AuditEntry | None = None,
    ) -> bool:
        """See the port."""

        def work(connection: Connection) -> bool:
            added = insert_operation(connection, operation, alone=alone, most=most)
            return write_if(added, connection, audit, self._keep_audit)

        return await self._transactions.run(work)

    async def operation(self, operation: OperationId) -> Operation | None:
        """See the port."""
        row = await self._transactions.run(
            lambda connection: connection.execute(_OPERATION, {"of": operation}).mappings().first()
        )
        return operation_of(row) if row else None

    async def live_operations(self) -> Sequence[Operation]:
        """See the port."""
        query = (
            select(OPERATIONS).where(_IS_LIVE).order_by(OPERATIONS.c.created_at, OPERATIONS.c.id)
        )
        return await self._transactions.run(
            lambda connection: [operation_of(row) for row in connection.execute(query).mappings()]
        )

    async def move_operation(
        self, operation: OperationId, event: Event, *, at: datetime, **changes: Any
    ) -> Operation | None:
        """See the port."""
        query = _MOVES[event].values(updated_at=at, **changes)

        def work(connection: Connection) -> Operation | None:
            row = connection.execute(query, {"of": operation}).mappings().first()
            return operation_of(row) if row else None

        return await self._transactions.run(work)

    async def cancel_operation(
        self, operation: OperationId, *, at: datetime, audit: AuditEntry | None = None
    ) -> Operation | None:
        """See the port."""
        query = (
            update(OPERATIONS)
            .where(OPERATIONS.c.id == operation, _IS_LIVE, OPERATIONS.c.goal == Goal.RUN)
            .values(goal=Goal.CANCEL, updated_at=at)
            .returning(OPERATIONS)
        )

        def work(connection: Connection) -> Operation | None:
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            write(connection, audit, self._keep_audit)
            return operation_of(row)

        return await self._transactions.run(work)

    async def forget_operations(self, before: datetime) -> None:
        """See the port."""
        await self._transactions.execute(
            delete(OPERATIONS).where(~_IS_LIVE, OPERATIONS.c.updated_at < before)
        )


def succeed_operation(
    connection: Connection,
    operation: OperationId,
    *,
    at: datetime,
    result: Mapping[str, Any],
    given: ColumnElement[bool],
) -> bool:
    """Record a success, inside of the transaction that makes it one.

    False, and nothing changed, if the operation has ended or is to be cancelled, or if not `given`.
    """
    moved = _MOVES[Event.SUCCEEDED].where(OPERATIONS.c.goal == Goal.RUN, given)
    query = moved.values(updated_at=at, percent=100, result=result)
    return connection.execute(query, {"of": operation}).first() is not None


def insert_operation(
    connection: Connection, operation: Operation, *, alone: bool = False, most: int | None = None
) -> bool:
    """Insert an operation, inside of a transaction: see `Operations.add_operation`."""
    others = (
        select(func.count())
        .select_from(OPERATIONS)
        .where(OPERATIONS.c.kind == operation.kind, _IS_LIVE)
    )
    if alone:
        of_item = others.where(OPERATIONS.c.item == operation.item)
        if connection.execute(of_item).scalar_one() > 0:
            return False
    if most is not None:
        of_workspace = others.where(OPERATIONS.c.workspace == operation.workspace)
        if connection.execute(of_workspace).scalar_one() >= most:
            return False
    values = dataclasses.asdict(operation)
    connection.execute(insert(OPERATIONS).values(values))
    return True


def operation_of(row: Mapping[Any, Any]) -> Operation:
    """Return the operation in the columns of a row."""
    values = {str(name): value for name, value in row.items()}
    values["kind"] = OperationKind(values["kind"])
    values["goal"] = Goal(values["goal"])
    values["phase"] = Phase(values["phase"])
    return Operation(**values)
