"""Outlines of sessions that the caller may read, for pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from livius.domain.ids import SessionId
from livius.domain.jobs import StatementJobs
from livius.domain.outline import Counts, JobCount, Outline, Run
from livius.domain.session import Session
from livius.ports.outlines import Key
from livius.usecases.context import Context

MOST_STATEMENTS: Final = 2000
MOST_RUNS: Final = 500
"""Statements of a session in a list: more would take a page longer than all else on it."""
_LONGEST_LINE: Final = 120
_HEAD: Final = 400
"""Characters in which the first line of code that says something is looked for."""

LONGEST_CODE: Final = 20_000
"""Characters in which a line of code is looked for that began a job."""


async def session_outline(context: Context, session: Session) -> Outline:
    """Return a session's outline, with its last statements."""
    return await context.store.outline(session.id, most=MOST_STATEMENTS)


async def runs_of(
    context: Context, sessions: Sequence[Session]
) -> Mapping[SessionId, Sequence[Run]]:
    """Return when the statements of sessions ran; nothing of sessions with very many."""
    found = [one.id for one in sessions]
    return await context.store.runs(found, most=MOST_RUNS) if found else {}


async def job_counts(context: Context, session: Session) -> Sequence[JobCount]:
    """Return the Spark jobs of each of a session's statements that had some, in numbers.

    They are as many as the statements: a page that looks again and again reads the outline.
    """
    return await context.store.job_counts(session.id)


async def counts(context: Context, session: Session) -> Counts:
    """Return how many statements and Spark jobs a session has."""
    return await context.store.counts(session.id)


async def jobs_of(context: Context, statements: Iterable[Key]) -> Mapping[Key, StatementJobs]:
    """Return the Spark jobs of some of a session's statements."""
    return await context.store.jobs_of(list(statements))


async def heads_of_code(
    context: Context, statements: Iterable[Key], *, size: int = _HEAD
) -> Mapping[Key, str]:
    """Return the beginnings of some of a session's statements' code."""
    return await context.store.heads_of_code(list(statements), size=size)


def first_line(code: str) -> str:
    """Return the first line of code that is no comment, shortened; else the first one."""
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    without_comments = (line for line in lines if not line.startswith(("#", "--", "//")))
    found = next(without_comments, lines[0] if lines else "")
    return found if len(found) <= _LONGEST_LINE else f"{found[: _LONGEST_LINE - 1]}…"
