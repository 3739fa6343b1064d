"""Maps our phases to Fabric's states by total functions (Fabric contract 1.4, 2.4).

A session's state is in three fields. ``state`` is always present, because the documented sample
reads it unguarded; ``livyInfo.currentState`` appears later; the acquisition state is Fabric's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from livius.api.schemas import Result, StatementState
from livius.domain.session import GIVEN_UP, EndCause, Goal, Phase, Session
from livius.domain.statement import Phase as StatementPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class WireState:
    """One session's state in all of Fabric's fields. None: the field is left out."""

    state: str
    livy: str | None
    fabric: str
    scheduler: str
    plugin: str
    result: Result


def session_state(
    session: Session, *, busy: bool, queued: bool = False, packaging: bool = False
) -> WireState:
    """Return the states of a session."""
    phase = session.phase
    if session.goal is Goal.STOP and phase not in _ENDED:
        phase = Phase.STOPPING
    if phase is Phase.READY:
        word = "busy" if busy else "idle"
        return WireState(
            state=word,
            livy=word,
            fabric="unknown",
            scheduler="Scheduled",
            plugin="Monitoring",
            result="Uncertain",
        )
    if phase is Phase.STOPPED:
        return _stopped(session)
    if phase is Phase.REQUESTED and queued:
        return replace(_BY_PHASE[phase], fabric="queued", plugin="Queued")
    if phase is Phase.REQUESTED and packaging:
        return _PACKAGING
    return _BY_PHASE[phase]


_ENDED = frozenset({Phase.STOPPED, Phase.FAILED, Phase.DIED})
_BEFORE = WireState(
    state="starting",
    livy="starting",
    fabric="acquiringSession",
    scheduler="Scheduled",
    plugin="Submission",
    result="Uncertain",
)
_DEAD = WireState(
    # A client of Fabric's stops waiting on dead only, so both fields have it.
    state="dead",
    livy="dead",
    fabric="error",
    scheduler="Ended",
    plugin="Ended",
    result="Failed",
)
_PACKAGING = WireState(
    state="starting",
    livy=None,
    fabric="libraryPackaging",
    scheduler="Scheduled",
    plugin="Preparation",
    result="Uncertain",
)
_BY_PHASE = {
    Phase.REQUESTED: WireState(
        state="not_started",
        livy=None,
        fabric="acquiringSession",
        scheduler="Queued",
        plugin="Preparation",
        result="Uncertain",
    ),
    Phase.LAUNCHING: _BEFORE,
    Phase.STARTING: _BEFORE,
    Phase.STOPPING: WireState(
        state="shutting_down",
        livy="shutting_down",
        fabric="cancelling",
        scheduler="Scheduled",
        plugin="Cleanup",
        result="Uncertain",
    ),
    Phase.FAILED: _DEAD,
    Phase.DIED: _DEAD,
}


def _stopped(session: Session) -> WireState:
    """Tell whether a session was ended on request, rather than by a failure."""
    if session.end_cause in GIVEN_UP:
        return _DEAD
    word = "killed" if session.end_cause is EndCause.DELETED else "dead"
    return WireState(
        state=word,
        livy=word,
        fabric="cancelled",
        scheduler="Ended",
        plugin="Ended",
        result="Succeeded",
    )


def statement_state(phase: StatementPhase) -> StatementState:
    """Return the state of a statement. It is never ``error``: failed code is ``available``."""
    return _STATEMENTS[phase]


_STATEMENTS: Final[Mapping[StatementPhase, StatementState]] = {
    StatementPhase.WAITING: "waiting",
    StatementPhase.RUNNING: "running",
    StatementPhase.CANCELLING: "cancelling",
    StatementPhase.AVAILABLE: "available",
    StatementPhase.CANCELLED: "cancelled",
}
