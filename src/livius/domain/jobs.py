"""The Spark jobs of a statement, as the driver reports them with Spark's own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkStage:
    """A stage's last attempt. ``status`` is Spark's word; the numbers count tasks.

    ``input`` and ``output`` are from and to storage: no shuffle is counted.
    """

    id: int
    attempt: int
    name: str
    status: str
    tasks: int
    done: int
    active: int
    failed: int
    started_at: datetime | None = None
    ended_at: datetime | None = None
    input_bytes: int = 0
    input_rows: int = 0
    output_bytes: int = 0
    output_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkJob:
    """A Spark job with its stages, the last of them where there are very many.

    ``name`` is its call site, ``description`` what code or a library says of it.
    """

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
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementJobs:
    """A statement's jobs in order, the last of ``total``."""

    total: int = 0
    jobs: tuple[SparkJob, ...] = ()
