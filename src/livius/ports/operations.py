"""The records of long-running operations: a part of the store, with its promises."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from livius.domain.audit import AuditEntry
from livius.domain.ids import OperationId
from livius.domain.operation import Event, Operation


class Operations(Protocol):
    """Long-running operations."""

    async def add_operation(
        self,
        operation: Operation,
        *,
        alone: bool = False,
        most: int | None = None,
        audit: AuditEntry | None = None,
    ) -> bool:
        """Insert an operation.

        False, with ``alone``, if its item has another one of its kind that has not ended; with
        ``most``, if its workspace has so many.
        """
        ...

    async def operation(self, operation: OperationId) -> Operation | None:
        """Return an operation."""
        ...

    async def live_operations(self) -> Sequence[Operation]:
        """Return the operations that have not ended, the oldest first."""
        ...

    async def move_operation(
        self, operation: OperationId, event: Event, *, at: datetime, **changes: Any
    ) -> Operation | None:
        """Apply an event, and set fields; None if it was in a phase that the event can't leave."""
        ...

    async def cancel_operation(
        self, operation: OperationId, *, at: datetime, audit: AuditEntry | None = None
    ) -> Operation | None:
        """Set the goal of an operation to cancel; None if it has ended, or was cancelled before."""
        ...

    async def forget_operations(self, before: datetime) -> None:
        """Delete the operations that ended before a moment."""
        ...
