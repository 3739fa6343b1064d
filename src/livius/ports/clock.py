"""Time, so that tests can own it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall clock for records, monotonic clock for waiting."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC. May jump: never measure with it."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow, from an arbitrary start."""
        ...
