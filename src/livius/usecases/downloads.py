"""Downloads of a statement's text and rows alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from livius.domain.errors import Conflict, NotFound
from livius.domain.repl import Repl
from livius.domain.statement import FINAL, Statement
from livius.usecases.context import Context
from livius.usecases.statement_reads import (
    Window,
    get_statement,
    no_statement,
    parse_number,
    text_of,
)

_PIECE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class StatementText:
    """A statement, and its text's size in bytes of UTF-8; ``is_whole``: the text is complete."""

    statement: Statement
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether the statement has ended."""
        return self.statement.phase in FINAL


async def find_text(context: Context, repl: Repl, number: str) -> StatementText:
    """Return a statement with the size of its text so far.

    Raises:
        NotFound: the session has no such statement.
    """
    found = await context.store.statement(repl.id, parse_number(number))
    if found is None:
        raise no_statement(number)
    if found.ending is not None and found.ending.text is not None:
        return StatementText(found, len(found.ending.text.encode()))
    size = await context.outputs.size(found.session, found.repl, found.number)
    return StatementText(found, size)


async def text_pieces(
    context: Context, found: Statement, *, start: int, end: int
) -> AsyncIterator[bytes]:
    """Yield the bytes of a statement's text from ``start`` up to ``end``, a piece at a time."""
    while start < end:
        piece = await text_of(context, found, offset=start, size=min(_PIECE, end - start))
        if not piece:
            return  # the retention ended meanwhile
        yield piece
        start += len(piece)


async def find_data(context: Context, repl: Repl, number: str, *, long_poll: timedelta) -> bytes:
    """Return the JSON object of a statement's data, once it has ended.

    Raises:
        NotFound: the session has no such statement, or it returned no data.
        Conflict: it has not ended.
    """
    view = await get_statement(context, repl, number, Window(size=0), long_poll=long_poll)
    ending = view.statement.ending
    if ending is None:
        raise Conflict(
            "StatementNotFinished",
            f"Statement {view.statement.number} has not ended, so it has no rows yet. Repeat this "
            "request: it is answered when the statement ends.",
        )
    if view.data is None:
        reason = "it gave none." if ending.ok else f"it failed: {ending.ename}."
        raise no_rows(reason)
    return view.data


def no_rows(reason: str) -> NotFound:
    """Return the error for a statement without rows."""
    return NotFound(
        "StatementHasNoRows",
        f"The statement has no rows: {reason} Rows come from the kind sql and from %table; the "
        "statement itself has everything else.",
    )
