"""A driver: one launched Spark driver, its life, and its link secret.

A driver belongs to a session from the start, or to the starter pool, which starts drivers in
advance: a session that comes later may claim one that is warm. The wanted state (`Goal`) and the
actual one (`Phase`) are two columns, as those of sessions are. What happens to a session's driver
happens to the session too: see `livius.domain.session.OF_DRIVER`.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from livius.domain.digests import hash_drawn
from livius.domain.ids import DriverId, EnvironmentVersionId, ReplId, SessionId

_SECRET_BYTES: Final = 32


class Owner(StrEnum):
    """The owner of a driver. It may change once: from the pool to a session."""

    SESSION = "session"
    POOL = "pool"


class Goal(StrEnum):
    """The wanted state of a driver."""

    RUN = "run"
    END = "end"


class Phase(StrEnum):
    """The actual state of a driver."""

    QUEUED = "queued"
    """It waits until there is room for it."""
    REQUESTED = "requested"
    """Recorded; nothing was started."""
    LAUNCHING = "launching"
    """It was launched, or is about to be: its folder is known."""
    STARTING = "starting"
    """The agent has a link to the gateway; Spark is starting."""
    WARM = "warm"
    """Of the pool: Spark has done some work of each kind, and waits to be bound to a session."""
    READY = "ready"
    """It runs the statements of its session."""
    ENDING = "ending"
    """Its processes are being ended."""
    ENDED = "ended"


class Event(StrEnum):
    """The events of a driver."""

    ADMITTED = "admitted"
    LAUNCH_BEGUN = "launch_begun"
    ATTACHED = "attached"
    WARMED = "warmed"
    READIED = "readied"
    END_BEGUN = "end_begun"
    ENDED = "ended"


TRANSITIONS: Final[Mapping[Phase, Mapping[Event, Phase]]] = MappingProxyType(
    {
        Phase.QUEUED: {
            Event.ADMITTED: Phase.REQUESTED,
            Event.END_BEGUN: Phase.ENDING,
            Event.ENDED: Phase.ENDED,
        },
        Phase.REQUESTED: {
            Event.LAUNCH_BEGUN: Phase.LAUNCHING,
            Event.END_BEGUN: Phase.ENDING,
            Event.ENDED: Phase.ENDED,
        },
        Phase.LAUNCHING: {
            Event.ATTACHED: Phase.STARTING,
            Event.END_BEGUN: Phase.ENDING,
            Event.ENDED: Phase.ENDED,
        },
        Phase.STARTING: {
            Event.WARMED: Phase.WARM,
            Event.READIED: Phase.READY,
            Event.END_BEGUN: Phase.ENDING,
            Event.ENDED: Phase.ENDED,
        },
        Phase.WARM: {
            Event.READIED: Phase.READY,
            Event.END_BEGUN: Phase.ENDING,
            Event.ENDED: Phase.ENDED,
        },
        Phase.READY: {
            Event.END_BEGUN: Phase.ENDING,
            Event.ENDED: Phase.ENDED,
        },
        Phase.ENDING: {Event.ENDED: Phase.ENDED},
        Phase.ENDED: {},
    }
)
LIVE: Final = frozenset(phase for phase, row in TRANSITIONS.items() if row)
COMING_UP: Final = frozenset({Phase.REQUESTED, Phase.LAUNCHING, Phase.STARTING})
"""The phases in which a driver has not yet taken all of the memory that it will take."""
LINKED: Final = frozenset({Phase.STARTING, Phase.WARM, Phase.READY})
"""The phases in which its agent may have a link to the gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """One driver. ``secret_hash`` is None until it is launched for the first time.

    Its folder is derived from its id, so the handle is durable before the launch: a gateway that
    was killed during a launch learns from the folder how far the launch came. ``session`` is None
    while the pool owns it. ``first_repl`` opens with it. ``fingerprint`` stands for all settings
    that a running driver can't change. The time for its start counts from ``created_at``, which
    is moved to its admission and to its launch. ``pooled`` tells that the pool started it.
    ``environment`` is the version whose libraries it has. ``cores`` and ``memory_mb`` are what a
    custom pool leaves of the operator's sizes; None: all. ``end_reason``
    is the sentence for people, of one that did not end because that was wanted.
    """

    id: DriverId
    owner: Owner
    session: SessionId | None
    runtime: str
    first_repl: ReplId
    created_at: datetime
    fingerprint: str = ""
    pooled: bool = False
    environment: EnvironmentVersionId | None = None
    cores: int | None = None
    memory_mb: int | None = None
    goal: Goal = Goal.RUN
    phase: Phase = Phase.REQUESTED
    secret_hash: str | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverEnd:
    """How a driver ended.

    ``log`` is the end of its output. ``code`` and ``signal`` are None if its supervisor did not see
    the end.
    """

    code: int | None = None
    signal: int | None = None
    oom: bool = False
    log: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Describe the end for people."""
        if self.oom:
            return (
                "The Spark driver ran out of memory and was ended. Let the operator change "
                "LIVIUS_DRIVER_MEMORY, or bring less data to the driver at once."
            )
        if self.signal is not None:
            return f"The Spark driver's agent was ended by signal {self.signal}, and Spark with it."
        if self.code is not None:
            return f"The Spark driver's agent ended by itself with exit code {self.code}."
        return "The Spark driver's supervisor was killed, and the driver with it."


def new_secret() -> str:
    """Return a fresh link secret of 32 random bytes."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def verify_secret(secret: str, secret_hash: str | None) -> bool:
    """Compare in constant time."""
    return secret_hash is not None and hmac.compare_digest(hash_drawn(secret), secret_hash)
