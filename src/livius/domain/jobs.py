"""The Spark jobs of a statement, as the driver reports them with Spark's own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkStage:
    """A stage's last attempt. ``status`` is Spark's word; the numbers count tasks."""

    id: int
    attempt: int
    name: str
    status: str
    tasks: int
    done: int
    active: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkJob:
    """A Spark job with its stages, the last of them where there are very many."""

    id: int
    name: str
    status: str
    tasks: int
    done: int
    active: int
    failed: int
    skipped: int
    started_at: datetime | None
    ended_at: datetime | None
    stages: tuple[SparkStage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementJobs:
    """A statement's jobs in order, the last of ``total``."""

    total: int = 0
    jobs: tuple[SparkJob, ...] = ()
