"""A session as monitoring shows it: its state in one word, and the steps that it has taken.

An activity is a session's record for people and programs that monitor. It outlives the session's
deletion and ends with the retention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from livius.domain.ids import SessionId
from livius.domain.session import FINAL, GIVEN_UP, EndCause, Goal, Phase, Session

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_BEYOND: Final = 10**15
"""Milliseconds: longer than anything takes."""


class ActivityState(StrEnum):
    """The state of an activity."""

    WAITING = "waiting"
    """Not ready yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    """Ended on request."""
    CANCELLED = "cancelled"
    """Ended on request before it was ready."""
    TIMED_OUT = "timed_out"
    """Ended by the idle timeout."""
    FAILED = "failed"
    """Never became ready, or its driver ended by itself."""


OVER = frozenset(
    {ActivityState.STOPPED, ActivityState.CANCELLED, ActivityState.TIMED_OUT, ActivityState.FAILED}
)


STEPS: Final[Mapping[str, Phase | None]] = {
    "accepted": Phase.REQUESTED,
    "driver_starting": Phase.LAUNCHING,
    "driver_connected": Phase.STARTING,
    "ready": Phase.READY,
    "first_statement": None,
    "stopping": Phase.STOPPING,
    "ended": None,
}
"""Why an activity waits, in order; by the session's phase where it has one."""


def activity_state(session: Session) -> ActivityState:
    """Return the state of a session. The store has a column for it, for lists."""
    if session.phase in FINAL:
        return _end(session)
    if session.goal is Goal.STOP or session.phase is Phase.STOPPING:
        return ActivityState.STOPPING
    return ActivityState.RUNNING if session.phase is Phase.READY else ActivityState.WAITING


def _end(session: Session) -> ActivityState:
    if session.phase is not Phase.STOPPED or session.end_cause in GIVEN_UP:
        return ActivityState.FAILED
    if session.end_cause is EndCause.IDLE:
        return ActivityState.TIMED_OUT
    return ActivityState.STOPPED if Phase.READY in session.times else ActivityState.CANCELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A session with the names of its workspace and lakehouse, also of a deleted lakehouse."""

    session: Session
    state: ActivityState
    lakehouse_name: str
    workspace_name: str


class Order(StrEnum):
    """The sort keys of a list of activities; equal ones are sorted by id."""

    STARTED = "started"
    NAME = "name"
    SUBMITTER = "submitter"
    STATE = "state"
    LOCATION = "location"
    DURATION = "duration"
    RUNTIME = "runtime"


def duration_key(session: Session) -> str:
    """Return a text that sorts sessions by duration.

    Live sessions come after all that have ended, the oldest last: a key that grew with time would
    move them between two pages. The store has a column for it.
    """
    began = (session.created_at - _EPOCH) // _MILLISECOND
    if session.ended_at is None:
        return f"{_BEYOND - began:016d}"
    return f"{max(0, (session.ended_at - _EPOCH) // _MILLISECOND - began):016d}"


_KEYS: Final[Mapping[Order, Callable[[Activity], str]]] = {
    Order.STARTED: lambda _: "",
    Order.NAME: lambda one: one.session.name.lower(),
    Order.SUBMITTER: lambda one: one.session.submitter_name.lower(),
    Order.STATE: lambda one: one.state.value,
    Order.LOCATION: lambda one: f"{one.workspace_name} / {one.lakehouse_name}".lower(),
    Order.DURATION: lambda one: duration_key(one.session),
    Order.RUNTIME: lambda one: one.session.runtime,
}


def sorted_by(activity: Activity, order: Order) -> str:
    """Return the sort key of an activity, apart from its start; case doesn't matter."""
    return _KEYS[order](activity)


@dataclass(frozen=True, slots=True)
class Position:
    """The position in a list of activities at which a page ended.

    ``key`` is `sorted_by` of the last one.
    """

    created_at: datetime
    id: SessionId
    key: str = ""
