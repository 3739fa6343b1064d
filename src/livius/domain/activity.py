"""What monitoring says of a session: where it stands, in one word, and which steps it has taken.

An activity is the record of a session for people and programs that watch. It outlives the
session's deletion: it is there until the retention ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from livius.domain.ids import SessionId
from livius.domain.session import FINAL, EndCause, Goal, Phase, Session


class ActivityState(StrEnum):
    """Where an activity stands."""

    WAITING = "waiting"
    """Not ready yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    """Ended because that was wanted."""
    CANCELLED = "cancelled"
    """Ended before it was ready, because that was wanted."""
    TIMED_OUT = "timed_out"
    """Ended because nothing was asked of it for too long."""
    FAILED = "failed"
    """Never became ready, or its driver ended by itself."""


OVER = frozenset(
    {ActivityState.STOPPED, ActivityState.CANCELLED, ActivityState.TIMED_OUT, ActivityState.FAILED}
)


def activity_state(session: Session) -> ActivityState:
    """Return where a session stands. The store keeps it with the record, for lists."""
    if session.phase in FINAL:
        return _end(session)
    if session.goal is Goal.STOP or session.phase is Phase.STOPPING:
        return ActivityState.STOPPING
    return ActivityState.RUNNING if session.phase is Phase.READY else ActivityState.WAITING


def _end(session: Session) -> ActivityState:
    if session.phase is not Phase.STOPPED or session.end_cause is EndCause.START_TIMED_OUT:
        return ActivityState.FAILED
    if session.end_cause is EndCause.IDLE:
        return ActivityState.TIMED_OUT
    return ActivityState.STOPPED if Phase.READY in session.times else ActivityState.CANCELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A session with the names of where it is; a deleted lakehouse has its last one."""

    session: Session
    state: ActivityState
    lakehouse_name: str
    workspace_name: str


class Order(StrEnum):
    """What a list of activities is sorted by; equals by their ids."""

    STARTED = "started"
    NAME = "name"
    SUBMITTER = "submitter"
    STATE = "state"


def sorted_by(activity: Activity, order: Order) -> str:
    """Return what an activity is sorted by, apart from its start; capitals count as small."""
    match order:
        case Order.STARTED:
            return ""
        case Order.NAME:
            return activity.session.name.lower()
        case Order.SUBMITTER:
            return activity.session.submitter_name.lower()
        case Order.STATE:
            return activity.state.value


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a list of activities a page ended. ``key`` is `sorted_by` of the last one."""

    created_at: datetime
    id: SessionId
    key: str = ""
