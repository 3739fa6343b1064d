"""Outlines of sessions: what a page needs of a thousand statements and ten thousand Spark jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from livius.domain.ids import ReplId, SessionId, StatementNumber
from livius.domain.jobs import StatementJobs
from livius.domain.outline import Counts, JobCount, Outline, Run

Key: TypeAlias = tuple[ReplId, StatementNumber]


class Outlines(Protocol):
    """Outlines, and details of some of their statements."""

    async def outline(self, session: SessionId, *, most: int) -> Outline:
        """Return a session's outline with the last ``most`` statements, by their start.

        Its numbers are those of all statements.
        """
        ...

    async def job_counts(self, session: SessionId) -> Sequence[JobCount]:
        """Return the Spark jobs of each of a session's statements that had some, in numbers."""
        ...

    async def counts(self, session: SessionId) -> Counts:
        """Return how many statements and Spark jobs a session has."""
        ...

    async def runs(
        self, sessions: Sequence[SessionId], *, most: int
    ) -> Mapping[SessionId, Sequence[Run]]:
        """Return when the statements of sessions ran, in a single query.

        Sessions with none that ran, or with more than ``most`` statements, are left out.
        """
        ...

    async def jobs_of(self, statements: Sequence[Key]) -> Mapping[Key, StatementJobs]:
        """Return the Spark jobs of statements as last reported; of those that have any."""
        ...

    async def heads_of_code(self, statements: Sequence[Key], *, size: int) -> Mapping[Key, str]:
        """Return the first ``size`` characters of statements' code, or a few more."""
        ...

    async def set_heap(self, session: SessionId, *, used: int, limit: int) -> None:
        """Note how much of its heap a session's driver uses; the highest figure stays."""
        ...
