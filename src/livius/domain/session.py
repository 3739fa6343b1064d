"""A session: an interactive Spark session, one driver at a time, and its life.

Three rules:

* The wanted state (`Goal`) and the actual state (`Phase`) are two columns. A request only moves the
  goal; the reconciler makes it true, one step at a time. Stop-while-starting, a driver's death and
  a restart of the gateway are then the same code path.
* `TRANSITIONS` has every step from phase to phase; an absent key is the error.
* Deletion is a mark (``deleted_at``), not a phase: the record goes on until its driver has ended,
  and stays readable as history.

Whether a session is idle or busy is not stored: its statements tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from livius.domain.driver import Event as DriverEvent
from livius.domain.errors import IllegalTransition
from livius.domain.high_concurrency import Sharing
from livius.domain.ids import (
    DriverId,
    EnvironmentVersionId,
    LakehouseId,
    PrincipalId,
    ReplId,
    SessionId,
    WorkspaceId,
)
from livius.domain.principal import Principal, PrincipalKind


class Goal(StrEnum):
    """The wanted state of a session."""

    RUN = "run"
    STOP = "stop"


class Phase(StrEnum):
    """The actual state of a session."""

    REQUESTED = "requested"
    """Recorded; its driver is yet to be launched, or one of the pool is being bound to it."""
    LAUNCHING = "launching"
    """A driver was launched, or is about to be: its folder is known."""
    STARTING = "starting"
    """The agent has connected; Spark is starting."""
    READY = "ready"
    """Statements run."""
    STOPPING = "stopping"
    """The driver was asked to end."""
    STOPPED = "stopped"
    """Ended on request (deleted), or by the idle timeout."""
    FAILED = "failed"
    """Never became ready."""
    DIED = "died"
    """Its driver ended by itself after it had been ready."""


class Event(StrEnum):
    """The events of a session."""

    LAUNCH_BEGUN = "launch_begun"
    DRIVER_ATTACHED = "driver_attached"
    DRIVER_READY = "driver_ready"
    STOP_BEGUN = "stop_begun"
    DRIVER_ENDED = "driver_ended"


TRANSITIONS: Final[Mapping[Phase, Mapping[Event, Phase]]] = MappingProxyType(
    {
        Phase.REQUESTED: {
            Event.LAUNCH_BEGUN: Phase.LAUNCHING,
            # A driver of the pool has been bound to it.
            Event.DRIVER_READY: Phase.READY,
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
"""The phases of a session that is on its way to ready."""


OF_DRIVER: Final[Mapping[DriverEvent, Event]] = MappingProxyType(
    {
        DriverEvent.LAUNCH_BEGUN: Event.LAUNCH_BEGUN,
        DriverEvent.ATTACHED: Event.DRIVER_ATTACHED,
        DriverEvent.READIED: Event.DRIVER_READY,
        DriverEvent.END_BEGUN: Event.STOP_BEGUN,
        DriverEvent.ENDED: Event.DRIVER_ENDED,
    }
)
"""What an event of its driver is to a session."""


def sources(event: Event) -> frozenset[Phase]:
    """Return the phases that the event may leave, for guarded updates."""
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
    """Its driver broke a rule of the link to the gateway, or speaks another protocol."""

    GATEWAY_SHUTDOWN = "gateway_shutdown"


GIVEN_UP: Final = frozenset({EndCause.START_TIMED_OUT, EndCause.DRIVER_REFUSED})
"""The causes for which the gateway stops a session by itself: the session has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of driver and executors in the request, as they came. None: not requested."""

    driver_memory: str | None = None
    driver_cores: int | None = None
    executor_memory: str | None = None
    executor_cores: int | None = None
    num_executors: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session.

    ``token_principal`` is the principal whose tokens its code may get, with the scopes for them;
    None: no tokens. ``request`` is the create request as it came, for the echo; ``conf`` is the
    caller's Spark conf after the policy; ``tags`` are the caller's and ours. ``times`` holds the
    moment of the first entry into each phase. The idle timeout counts from ``last_active_at``.
    ``submitter_kind`` is None in records of versions that did not store it. ``first_repl`` opens
    with the driver; ``environment`` is the version that the driver has; where ``sharing`` is None
    it takes the statements that name no repl.
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
    first_repl: ReplId
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
    sharing: Sharing | None = None
    environment: EnvironmentVersionId | None = None

    @property
    def ended_at(self) -> datetime | None:
        """The moment at which the session ended."""
        return self.times.get(self.phase, self.last_active_at) if self.phase in FINAL else None

    @property
    def is_shared(self) -> bool:
        """Whether high-concurrency sessions share it."""
        return self.sharing is not None

    @property
    def accepts_statements(self) -> bool:
        """Tell whether a statement sent now will run, at once or once Spark is up."""
        return self.goal is Goal.RUN and self.phase in ACCEPTING and self.deleted_at is None

    def narrowed_by(self, caller: Principal) -> Principal | None:
        """Return the principal whose tokens the session may get once it has this caller's code.

        A session can't distinguish the code of different callers. So the session gets only the
        scopes that every caller's token has, and no tokens once two principals have sent code.
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
