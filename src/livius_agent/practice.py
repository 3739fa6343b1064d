"""Statements that nobody sent, so that Java has loaded and compiled the classes they need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, TypeAlias

from livius_agent.ledger import Entry
from livius_agent.wire import Run
from livius_agent.worker import ReplWorker

Statement: TypeAlias = tuple[Literal["spark", "pyspark", "sql"], str]
"""A kind, and code."""

_STATEMENT_WITHIN: Final = 600.0
"""Practice leaves the processor to others, so on a busy machine it is slow."""
_LOOK_EVERY: Final = 0.02
_LIMIT: Final = 1024 * 1024


class PracticeFailed(Exception):
    """A statement ended with an error, so what it should have loaded is missing."""


async def practise(
    worker: ReplWorker, repl: str, folder: Path, statements: Iterable[Statement]
) -> None:
    """Have a repl's running worker run statements, one after the other.

    Raises:
        PracticeFailed: one ended with an error.
        TimeoutError: one does not end.
    """
    for number, (kind, code) in enumerate(statements):
        entry = Entry(Run(repl=repl, number=number, kind=kind, code=code), _LIMIT, 0, folder)
        worker.submit(entry)
        async with asyncio.timeout(_STATEMENT_WITHIN):
            while entry.finished is None:
                await asyncio.sleep(_LOOK_EVERY)
        entry.close()
        if entry.finished.outcome != "ok":
            raise PracticeFailed(f"{code}: {entry.finished.evalue}")
    await worker.reported()
