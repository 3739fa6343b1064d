"""A repl: an isolated context inside a driver, with statements of its own, and its life.

Statements of one repl run one after the other; those of several repls run at the same time. The
gateway asks for a repl to be opened and closed; the driver says when it is. A repl never outlives
its driver: the end of the session closes all that are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from livius.domain.ids import DriverId, ReplId, SessionId


class Phase(StrEnum):
    """What is so."""

    OPENING = "opening"
    """Recorded; the driver opens it once it can."""
    OPEN = "open"
    """Statements run."""
    CLOSING = "closing"
    """The driver was asked to close it, or will be when it dials in."""
    CLOSED = "closed"


class Event(StrEnum):
    """What can happen to a repl."""

    OPENED = "opened"
    CLOSE_REQUESTED = "close_requested"
    CLOSED = "closed"
    """The driver closed it, refused to open it, or ended."""


TRANSITIONS: Final[Mapping[Phase, Mapping[Event, Phase]]] = MappingProxyType(
    {
        Phase.OPENING: {
            Event.OPENED: Phase.OPEN,
            Event.CLOSE_REQUESTED: Phase.CLOSING,
            Event.CLOSED: Phase.CLOSED,
        },
        Phase.OPEN: {
            Event.CLOSE_REQUESTED: Phase.CLOSING,
            Event.CLOSED: Phase.CLOSED,
        },
        Phase.CLOSING: {Event.CLOSED: Phase.CLOSED},
        Phase.CLOSED: {},
    }
)
ACCEPTING: Final = frozenset({Phase.OPENING, Phase.OPEN})
"""The phases in which a repl takes statements; before `Phase.OPEN` they wait."""
LIVE: Final = frozenset(phase for phase, row in TRANSITIONS.items() if row)
"""The phases in which the driver has a repl, or is to have it."""


def sources(event: Event) -> frozenset[Phase]:
    """Return the phases that the event may leave: what a guarded update names."""
    return frozenset(phase for phase, row in TRANSITIONS.items() if event in row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repl:
    """One repl of a session's driver.

    ``end_reason`` is the sentence for people, of a repl that the driver closed by itself.
    """

    id: ReplId
    session: SessionId
    driver: DriverId
    phase: Phase
    created_at: datetime
    ended_at: datetime | None = None
    end_reason: str | None = None
