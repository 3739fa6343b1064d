"""Counts events for the operators of the gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from livius.domain.statement import Kind


class Meter(Protocol):
    """Never fails, and is quick enough for every statement."""

    def statement_ended(
        self, kind: Kind, outcome: str, *, waited: timedelta, ran: timedelta
    ) -> None:
        """Count a statement's end: ``ok``, ``error``, ``cancelled`` or ``abandoned``."""
        ...

    def session_ready(self, took: timedelta, *, pooled: bool) -> None:
        """Record how long a session took from its creation until it was ready.

        ``pooled`` tells that its driver is one of the starter pool's.
        """
        ...

    def session_ended(self, state: str) -> None:
        """Count a session's end by its last state."""
        ...
