"""The outline of a session: when its statements ran, how they ended, and its Spark jobs in numbers.

It has neither code nor output, so that a session of a thousand statements is read at a glance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from livius.domain.ids import ReplId, StatementNumber
from livius.domain.statement import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementMark:
    """One statement's times and end. ``ok`` is None before the end; ``rows`` are those returned."""

    repl: ReplId
    number: StatementNumber
    phase: Phase
    started_at: datetime | None
    ended_at: datetime | None
    ok: bool | None
    rows: int | None

    @property
    def has_failed(self) -> bool:
        """Tell whether its code failed; that of a cancelled one has not."""
        return self.phase is Phase.AVAILABLE and self.ok is False


@dataclass(frozen=True, slots=True)
class Run:
    """When a statement ran. ``ended_at`` is None while it does."""

    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCount:
    """How many Spark jobs a statement had, and how those that are known ended."""

    repl: ReplId
    number: StatementNumber
    total: int
    failed: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class JobTotals:
    """How many Spark jobs a session had, and how those that are known ended."""

    total: int
    failed: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class Heap:
    """The Java heap of a session's driver in bytes, as last reported, and its highest."""

    used: int
    peak: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A session's outline. ``marks`` are the last of ``statements``, the newest last."""

    statements: int
    failed: int
    cancelled: int
    marks: Sequence[StatementMark]
    jobs: JobTotals
    heap: Heap | None

    @property
    def is_whole(self) -> bool:
        """Tell whether each statement has its mark."""
        return len(self.marks) == self.statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many statements a session has, how many of them are open, and how many Spark jobs."""

    statements: int
    open: int
    jobs: int
