"""A session: an interactive Spark session, one driver at a time, and its life.

Three rules:

* What is wanted (`Goal`) and what is so (`Phase`) are two columns. A request only moves the goal;
  the reconciler makes it true, one step at a time. Stop-while-starting, a driver's death and a
  restart of the gateway are then the same code path.
* All that moves a session from phase to phase is in `TRANSITIONS`; an absent key is the error.
* Deletion is a mark (``deleted_at``), not a phase: the record goes on until its driver has ended,
  and stays readable as history.

Whether a session is idle or busy is not stored: it is a question about its statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from livius.domain.errors import IllegalTransition
from livius.domain.ids import DriverId, LakehouseId, PrincipalId, ReplId, SessionId, WorkspaceId
from livius.domain.principal import Principal, PrincipalKind


class Goal(StrEnum):
    """What is wanted of a session."""

    RUN = "run"
    STOP = "stop"


class Phase(StrEnum):
    """What is so."""

    REQUESTED = "requested"
    """Recorded; no driver yet."""
    LAUNCHING = "launching"
    """A driver was launched, or is about to be: its folder is known."""
    STARTING = "starting"
    """The agent has dialled in; Spark is coming up."""
    READY = "ready"
    """Statements run."""
    STOPPING = "stopping"
    """The driver was asked to end."""
    STOPPED = "stopped"
    """Ended because that was wanted: deleted, or idle for too long."""
    FAILED = "failed"
    """Never became ready."""
    DIED = "died"
    """Its driver ended by itself after it had been ready."""


class Event(StrEnum):
    """What can happen to a session."""

    LAUNCH_BEGUN = "launch_begun"
    DRIVER_ATTACHED = "driver_attached"
    DRIVER_READY = "driver_ready"
    STOP_BEGUN = "stop_begun"
    DRIVER_ENDED = "driver_ended"


TRANSITIONS: Final[Mapping[Phase, Mapping[Event, Phase]]] = MappingProxyType(
    {
        Phase.REQUESTED: {
            Event.LAUNCH_BEGUN: Phase.LAUNCHING,
            Event.STOP_BEGUN: Phase.STOPPING,
            # It could not even be launched.
            Event.DRIVER_ENDED: Phase.FAILED,
        },
        Phase.LAUNCHING: {
            Event.DRIVER_ATTACHED: Phase.STARTING,
            Event.STOP_BEGUN: Phase.STOPPING,
            Event.DRIVER_ENDED: Phase.FAILED,
        },
        Phase.STARTING: {
            Event.DRIVER_READY: Phase.READY,
            Event.STOP_BEGUN: Phase.STOPPING,
            Event.DRIVER_ENDED: Phase.FAILED,
        },
        Phase.READY: {
            Event.STOP_BEGUN: Phase.STOPPING,
            Event.DRIVER_ENDED: Phase.DIED,
        },
        Phase.STOPPING: {Event.DRIVER_ENDED: Phase.STOPPED},
        Phase.STOPPED: {},
        Phase.FAILED: {},
        Phase.DIED: {},
    }
)
FINAL: Final = frozenset(phase for phase, row in TRANSITIONS.items() if not row)
LIVE: Final = frozenset(TRANSITIONS) - FINAL
ACCEPTING: Final = frozenset({Phase.REQUESTED, Phase.LAUNCHING, Phase.STARTING, Phase.READY})
"""The phases in which a session takes statements; before `Phase.READY` they wait."""
STARTING: Final = ACCEPTING - {Phase.READY}
"""The phases in which a driver is promised, and has not taken all of its memory yet."""


def sources(event: Event) -> frozenset[Phase]:
    """Return the phases that the event may leave: what a guarded update names."""
    return frozenset(phase for phase, row in TRANSITIONS.items() if event in row)


class EndCause(StrEnum):
    """Why a session ended. The sentence for people is in ``Session.end_reason``."""

    DELETED = "deleted"
    STOPPED_BY_CODE = "stopped_by_code"
    IDLE = "idle"
    START_FAILED = "start_failed"
    START_TIMED_OUT = "start_timed_out"
    DRIVER_DIED = "driver_died"
    DRIVER_REFUSED = "driver_refused"
    """It broke a rule of its link to the gateway, or speaks a protocol that is none of ours."""

    GATEWAY_SHUTDOWN = "gateway_shutdown"


GIVEN_UP: Final = frozenset({EndCause.START_TIMED_OUT, EndCause.DRIVER_REFUSED})
"""The causes for which we stop a session that nobody wanted stopped: it has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What the caller asked of driver and executors, as given. None: not asked."""

    driver_memory: str | None = None
    driver_cores: int | None = None
    executor_memory: str | None = None
    executor_cores: int | None = None
    num_executors: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session.

    ``token_principal`` is whose tokens its code may get, with the scopes that open them; None:
    nobody's. ``request`` is the create request as it came, for the echo; ``conf`` the caller's
    Spark conf after the policy; ``tags`` the caller's and ours. ``times`` holds the moment of the
    first entry into each phase. ``last_active_at`` is what the idle timeout counts from.
    ``submitter_kind`` is None in records from before it was kept.
    """

    id: SessionId
    workspace: WorkspaceId
    lakehouse: LakehouseId
    submitter: PrincipalId
    submitter_name: str
    name: str
    runtime: str
    conf: Mapping[str, str]
    tags: Mapping[str, str]
    request: Mapping[str, Any]
    goal: Goal
    phase: Phase
    driver: DriverId
    repl: ReplId
    idle_timeout: timedelta
    created_at: datetime
    last_active_at: datetime
    times: Mapping[Phase, datetime] = field(default_factory=dict)
    deleted_at: datetime | None = None
    end_cause: EndCause | None = None
    end_reason: str | None = None
    log: tuple[str, ...] = ()
    spark_app_id: str | None = None
    ui_url: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    submitter_kind: PrincipalKind | None = None
    token_principal: Principal | None = None

    @property
    def ended_at(self) -> datetime | None:
        """The moment at which it had ended."""
        return self.times.get(self.phase, self.last_active_at) if self.phase in FINAL else None

    @property
    def accepts_statements(self) -> bool:
        """Tell whether a statement sent now will run, at once or once Spark is up."""
        return self.goal is Goal.RUN and self.phase in ACCEPTING and self.deleted_at is None

    def narrowed_by(self, caller: Principal) -> Principal | None:
        """Return whose tokens the session's code may get once this caller's code is in it.

        Code can't be told apart once it is in a session. So all of it gets what each token that
        brought code allows, and nothing once another principal's is there.
        """
        own = self.token_principal
        if own is None or (own.issuer, own.oid) != (caller.issuer, caller.oid):
            return None
        return replace(own, scopes=own.scopes & caller.scopes)

    def after(self, event: Event, *, at: datetime) -> Session:
        """Return the session in the phase that the event leads to.

        Raises:
            IllegalTransition: the table has no such step; nothing changes.
        """
        try:
            phase = TRANSITIONS[self.phase][event]
        except KeyError:
            raise IllegalTransition(f"a session that is {self.phase} can't be {event}") from None
        return replace(self, phase=phase, times={phase: at, **self.times})
