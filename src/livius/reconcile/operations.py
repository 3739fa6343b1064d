"""Running operations: each kind has a runner.

Promises:

* An operation is started once. One that a killed gateway was running is recovered by its runner:
  it goes on, or it fails with a reason.
* Of each kind run at most so many at once. Workspaces take turns, each with its own in the order
  in which they came: between two of its operations, each other workspace that waits and has none
  running gets one. A new gateway begins the turns again.
* A cancelled operation has ended, with all that its runner started, before its record says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import structlog

from livius.domain.errors import LiviusError, Unavailable
from livius.domain.ids import OperationId, WorkspaceId
from livius.domain.operation import (
    CANCELLED,
    INTERRUPTED,
    MOST_ERROR_CHARS,
    TIMED_OUT,
    Event,
    Goal,
    Operation,
    OperationKind,
    Phase,
)
from livius.ports.clock import Clock
from livius.ports.notifications import Notifications, OperationChanged
from livius.ports.store import Store

_LOOK_EVERY: Final = 1.0
"""Seconds: a lost wake-up costs no more."""

Result = Mapping[str, Any] | None
Progress = Callable[[int], Awaitable[None]]
"""Records how many percent of an operation are done."""
Run = Callable[[Operation, Progress], Awaitable[Result]]
"""Does the work of an operation; a `LiviusError` is the reason why it fails."""

_log = structlog.get_logger(__name__)


async def interrupted(_operation: Operation, _progress: Progress) -> Result:
    """Recover an operation that can't go on.

    Raises:
        Unavailable: always.
    """
    raise Unavailable(
        INTERRUPTED, "The server was stopped while it worked on this. Send the request again."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """The work of one kind of operation.

    ``recover`` is called in place of ``run`` for an operation that a gateway was running when it
    ended. Either is cancelled after ``deadline``, and has then to undo what it did.
    """

    run: Run
    recover: Run = interrupted
    deadline: timedelta
    at_once: int = 1


@dataclass(slots=True, kw_only=True)
class OperationReconciler:
    """Runs operations until `run` is cancelled.

    ``every`` is the longest time between two looks.
    """

    store: Store
    clock: Clock
    notifications: Notifications
    runners: Mapping[OperationKind, Runner]
    every: float = _LOOK_EVERY
    _woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _running: dict[OperationId, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _turns: dict[tuple[OperationKind, WorkspaceId], int] = field(default_factory=dict, init=False)
    """When each workspace last had its turn with a kind: a number that grows."""

    def wake(self) -> None:
        """Have it look at once. Never blocks."""
        self._woken.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        self._running.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                await self._look(group)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.every):
                        await self._woken.wait()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        live = await self.store.live_operations()
        busy = Counter(one.kind for one in live if one.id in self._running)
        for operation in self._in_turn(live):
            runner = self.runners[operation.kind]
            if operation.goal is Goal.CANCEL:
                await self._cancel(operation)
            if operation.id in self._running or busy[operation.kind] >= runner.at_once:
                continue
            if operation.phase is Phase.RUNNING:
                self._begin(group, operation, runner.recover, runner.deadline)
            elif operation.goal is Goal.RUN:
                begun = await self._move(operation, Event.STARTED)
                if begun is None:
                    continue
                self._begin(group, begun, runner.run, runner.deadline)
                self._turns[begun.kind, begun.workspace] = max(self._turns.values(), default=0) + 1
            busy[operation.kind] += operation.id in self._running

    def _in_turn(self, live: Sequence[Operation]) -> Sequence[Operation]:
        """Return operations in the order in which they may begin.

        The first of each workspace come before its second, and so on; among these, those of the
        workspace whose turn is longest ago come first.
        """
        if not live:
            self._turns.clear()
        seen: Counter[tuple[OperationKind, WorkspaceId]] = Counter()
        order: dict[OperationId, tuple[int, int]] = {}
        for one in live:
            of = one.kind, one.workspace
            order[one.id] = (seen[of], self._turns.get(of, 0))
            seen[of] += 1
        return sorted(live, key=lambda one: order[one.id])

    async def _cancel(self, operation: Operation) -> None:
        task = self._running.get(operation.id)
        if task is not None:
            # Once: a second cancel would cut off what undoes its work.
            if not task.cancelling():
                task.cancel()
        elif operation.phase is Phase.NOT_STARTED:
            await self._fail(operation, CANCELLED, "It was cancelled before it began.")

    def _begin(
        self, group: asyncio.TaskGroup, operation: Operation, run: Run, deadline: timedelta
    ) -> None:
        self._running[operation.id] = group.create_task(
            self._attend(operation, run, deadline), name=f"operation-{operation.id}"
        )

    async def _attend(self, operation: Operation, run: Run, deadline: timedelta) -> None:
        """Run an operation and record how it ended.

        The end of the gateway leaves the record as it is, for the next one to recover.
        """
        _log.info("operation_started", operation=operation.id, kind=operation.kind)

        async def progress(percent: int) -> None:
            await self._move(operation, Event.PROGRESSED, percent=percent)

        try:
            async with asyncio.timeout(deadline.total_seconds()):
                result = await run(operation, progress)
        except asyncio.CancelledError:
            present = await self.store.operation(operation.id)
            if present is None or present.goal is not Goal.CANCEL:
                raise
            await self._fail(operation, CANCELLED, "It was cancelled.")
        except TimeoutError:
            minutes = deadline.total_seconds() / 60
            await self._fail(operation, TIMED_OUT, f"It did not end within {minutes:g} minutes.")
        except LiviusError as error:
            await self._fail(operation, error.code, error.message)
        except Exception:  # noqa: BLE001 - the outermost frame of an operation: log, go on
            _log.exception("operation_broke", operation=operation.id, kind=operation.kind)
            await self._fail(
                operation, "UnknownError", "The server failed to do it. Its log has the details."
            )
        else:
            await self._move(operation, Event.SUCCEEDED, percent=100, result=result)
            _log.info("operation_succeeded", operation=operation.id, kind=operation.kind)
        finally:
            del self._running[operation.id]
            self.wake()

    async def _fail(self, operation: Operation, code: str, message: str) -> None:
        await self._move(
            operation,
            Event.FAILED,
            error_code=code,
            error_message=message[:MOST_ERROR_CHARS],
        )
        _log.warning("operation_failed", operation=operation.id, kind=operation.kind, code=code)

    async def _move(self, operation: Operation, event: Event, **changes: Any) -> Operation | None:
        moved = await self.store.move_operation(operation.id, event, at=self.clock.now(), **changes)
        self.notifications.notify(OperationChanged(operation.id))
        return moved
