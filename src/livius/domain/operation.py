"""A long-running operation: work that outlives the request that began it.

The wanted state (`Goal`) and the actual state (`Phase`) are two columns, as those of sessions are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from livius.domain.ids import OperationId, PrincipalId, WorkspaceId


class OperationKind(StrEnum):
    """The kinds of operations. Each has a runner; a kind is stored without a constraint."""

    PUBLISH_ENVIRONMENT = "publish_environment"
    LOAD_TABLE = "load_table"


class Goal(StrEnum):
    """The wanted state of an operation."""

    RUN = "run"
    CANCEL = "cancel"


class Phase(StrEnum):
    """The actual state of an operation."""

    NOT_STARTED = "not_started"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Also for one that was cancelled: its error code says so."""


class Event(StrEnum):
    """The events of an operation."""

    STARTED = "started"
    PROGRESSED = "progressed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


TRANSITIONS: Final[Mapping[Phase, Mapping[Event, Phase]]] = MappingProxyType(
    {
        Phase.NOT_STARTED: {Event.STARTED: Phase.RUNNING, Event.FAILED: Phase.FAILED},
        Phase.RUNNING: {
            Event.PROGRESSED: Phase.RUNNING,
            Event.SUCCEEDED: Phase.SUCCEEDED,
            Event.FAILED: Phase.FAILED,
        },
        Phase.SUCCEEDED: {},
        Phase.FAILED: {},
    }
)
LIVE: Final = frozenset(phase for phase, row in TRANSITIONS.items() if row)

CANCELLED: Final = "OperationCancelled"
INTERRUPTED: Final = "OperationInterrupted"
TIMED_OUT: Final = "OperationTimedOut"
"""Error codes of operations that did not fail by their own work."""
MOST_ERROR_CHARS: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation on an item of a workspace.

    ``request`` has the arguments of its kind, ``result`` what it led to; both are JSON.
    ``error_code`` and ``error_message`` are those of a failed one.
    """

    id: OperationId
    kind: OperationKind
    workspace: WorkspaceId
    item: str
    requested_by: PrincipalId
    request: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    goal: Goal = Goal.RUN
    phase: Phase = Phase.NOT_STARTED
    percent: int = 0
    error_code: str | None = None
    error_message: str | None = None
    result: Mapping[str, Any] | None = None

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.phase in LIVE
