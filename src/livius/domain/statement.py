"""A statement: one piece of code given to one repl, and its life.

Two rules:

* `TRANSITIONS` has every step from state to state; an absent key is the error.
* A final state is for ever. A late result can't overwrite ``cancelled``.

Code that fails makes the statement `Phase.AVAILABLE` with an error output, as in Livy: clients
poll for exactly that state. For the same reason a statement whose driver died becomes available.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from livius.domain.errors import IllegalTransition
from livius.domain.ids import DriverId, ReplId, SessionId, StatementNumber


class Kind(StrEnum):
    """The languages that a statement's code can be in, by their names on the wire."""

    SPARK = "spark"
    PYSPARK = "pyspark"
    SPARKR = "sparkr"
    SQL = "sql"


class Phase(StrEnum):
    """The state of a statement."""

    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    AVAILABLE = "available"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """The events of a statement."""

    CLAIMED = "claimed"
    CANCEL_REQUESTED = "cancel_requested"
    FINISHED = "finished"
    """Its code ended, with or without an error."""
    STOPPED = "stopped"
    """Its code has truly stopped because of a cancel."""
    ABANDONED = "abandoned"
    """Its driver ended, or its session was ended, before its code did."""


TRANSITIONS: Final[Mapping[Phase, Mapping[Event, Phase]]] = MappingProxyType(
    {
        Phase.WAITING: {
            Event.CLAIMED: Phase.RUNNING,
            Event.CANCEL_REQUESTED: Phase.CANCELLED,
            Event.ABANDONED: Phase.AVAILABLE,
        },
        Phase.RUNNING: {
            Event.CANCEL_REQUESTED: Phase.CANCELLING,
            Event.FINISHED: Phase.AVAILABLE,
            # Spark may stop a job by itself in a way that looks like a cancel.
            Event.STOPPED: Phase.CANCELLED,
            Event.ABANDONED: Phase.AVAILABLE,
        },
        Phase.CANCELLING: {
            # The code ended before the cancel: its result is complete, so it counts.
            Event.FINISHED: Phase.AVAILABLE,
            Event.STOPPED: Phase.CANCELLED,
            Event.ABANDONED: Phase.AVAILABLE,
        },
        Phase.AVAILABLE: {},
        Phase.CANCELLED: {},
    }
)
FINAL: Final = frozenset(phase for phase, row in TRANSITIONS.items() if not row)
OPEN: Final = frozenset(TRANSITIONS) - FINAL
ACTIVE: Final = frozenset({Phase.RUNNING, Phase.CANCELLING})
"""The phases in which a statement occupies its repl."""


def sources(event: Event) -> frozenset[Phase]:
    """Return the phases that the event may leave, for guarded updates."""
    return frozenset(phase for phase, row in TRANSITIONS.items() if event in row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a statement ended, and its output stream where that is short.

    ``text`` is the whole stream, if it came with the end; None: it is in the outputs. ``data`` is a
    JSON object of values by their MIME types, other than ``text/plain``, as the driver sent it. An
    error has ``ename`` and no data. ``with_text`` tells whether an empty stream still makes an
    empty ``text/plain``. ``data_elsewhere``: ``data`` is too large for the record and is in the
    outputs. ``rows``: how many rows of SQL it has.
    """

    ok: bool
    text: str | None = None
    with_text: bool = True
    data_elsewhere: bool = False
    data: bytes | None = None
    ename: str | None = None
    evalue: str | None = None
    traceback: tuple[str, ...] = ()
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of one repl. ``ending`` is set exactly in the final phases.

    ``cancelled_by`` is the name of the caller who last asked for its cancel.
    """

    session: SessionId
    repl: ReplId
    driver: DriverId
    number: StatementNumber
    kind: Kind
    code: str
    source_id: str | None
    phase: Phase
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    progress: float = 0.0
    ending: Ending | None = None
    cancelled_by: str | None = None

    def after(self, event: Event) -> Statement:
        """Return the statement in the phase that the event leads to.

        Raises:
            IllegalTransition: the table has no such step; nothing changes.
        """
        try:
            return replace(self, phase=TRANSITIONS[self.phase][event])
        except KeyError:
            raise IllegalTransition(f"a statement that is {self.phase} can't be {event}") from None


def cancelled_before_start() -> Ending:
    """Return the ending of a statement that was cancelled while it waited."""
    return Ending(
        ok=False, ename="Cancelled", evalue="The statement was cancelled before it started."
    )
