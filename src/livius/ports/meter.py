"""Counting what happens, for those who operate the gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from livius.domain.statement import Kind


class Meter(Protocol):
    """Takes note, and never fails. Quick enough for every statement."""

    def statement_ended(
        self, kind: Kind, outcome: str, *, waited: timedelta, ran: timedelta
    ) -> None:
        """Note a statement's end: ``ok``, ``error``, ``cancelled`` or ``abandoned``."""
        ...

    def session_ready(self, took: timedelta) -> None:
        """Note that a session takes statements, so long after it was asked for."""
        ...

    def session_ended(self, state: str) -> None:
        """Note a session's end and its last state."""
        ...
