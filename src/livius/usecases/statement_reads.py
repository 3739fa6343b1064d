"""Reads statements with their outputs and Spark jobs.

Each function takes a repl that the caller may read: from `livius.usecases.access.own_repl` for the
Livy routes, from `livius.usecases.monitoring.activity_repl` for monitoring, which has deleted
sessions too.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from livius.domain.errors import NotFound
from livius.domain.ids import StatementNumber
from livius.domain.jobs import StatementJobs
from livius.domain.messages import Message
from livius.domain.repl import Repl
from livius.domain.statement import ACTIVE, FINAL, Statement
from livius.ports.notifications import OutputGrew, Topic
from livius.usecases.context import Context

_INT32_MAX: Final = 2**31 - 1
_SMALL: Final = 64 * 1024
"""Bytes of text that the event loop decodes; a thread decodes longer ones."""
_PIECE: Final = 256 * 1024
_UTF8_MASK: Final = 0b1100_0000
_UTF8_CONTINUATION: Final = 0b1000_0000


@dataclass(frozen=True, slots=True)
class StatementView:
    """A statement and its text; ``whole`` unless the request was for a window of it.

    Before the statement's end there is text only for a request with a window: other clients take
    any output for the end. ``data`` is the JSON object of its data as the driver sent it: nothing
    parses it on the way.
    """

    statement: Statement
    text: str
    whole: bool = True
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The window of the text to return, in bytes (Fabric contract 2.6)."""

    offset: int = 0
    size: int | None = None


async def get_statement(
    context: Context,
    repl: Repl,
    number: str,
    window: Window | None = None,
    *,
    long_poll: timedelta = timedelta(),
) -> StatementView:
    """Return one statement, with its output if it has ended.

    Before that, the response waits for up to ``long_poll`` until the statement ends, or until there
    is text in a requested window.

    Raises:
        NotFound: the session has no such statement.
    """
    parsed = parse_number(number)
    topics: list[Topic] = [(repl.id, parsed)]
    if window is not None:
        topics.append(OutputGrew(repl.id, parsed))
    with context.notifications.watch(*topics) as watch:
        # The watch begins before the read, so that no change is missed between them.
        found = await context.store.statement(repl.id, parsed)
        if long_poll and found is not None and found.phase not in FINAL:
            size = await context.outputs.size(repl.session, repl.id, parsed)
            ended = None
            if window is None or size <= window.offset:
                ended = await watch.changed(long_poll.total_seconds())
            found = ended or await context.store.statement(repl.id, parsed)
    if found is None:
        raise no_statement(number)
    return await _with_output(context, found, window)


async def list_statements(
    context: Context,
    repl: Repl,
    *,
    skip: int,
    top: int,
    newest_first: bool = False,
    follow: bool = False,
) -> tuple[Sequence[StatementView], int]:
    """Return one page of a session's statements with the heads of their outputs, and their number.

    A head is the beginning of the text, and the data where it is small. With ``follow``, running
    statements have the end of their text; without it, they have none.
    """
    found, total = await context.store.list_statements(
        repl.id, skip=skip, top=top, newest_first=newest_first
    )
    return [await _with_head(context, one, follow=follow) for one in found], total


async def statement_head(context: Context, repl: Repl, number: str) -> StatementView:
    """Return one statement as `list_statements` does with ``follow``.

    Raises:
        NotFound: the session has no such statement.
    """
    return await _with_head(context, await _find(context, repl, number), follow=True)


async def latest_statements(
    context: Context, repl: Repl, top: int
) -> tuple[Sequence[tuple[Statement, int]], int]:
    """Return the last statements, in order, and the number of all.

    With the size of the text of running statements, in bytes; 0 for the others.
    """
    found, total = await context.store.list_statements(repl.id, skip=None, top=top)
    latest: list[tuple[Statement, int]] = []
    for one in found:
        size = 0
        if one.phase in ACTIVE:
            size = await context.outputs.size(one.session, one.repl, one.number)
        latest.append((one, size))
    return latest, total


async def count_open(context: Context, repl: Repl) -> tuple[int, int]:
    """Return how many of a session's statements run, and how many wait."""
    open_ones = await context.store.open_statements(repl.driver)
    active = sum(one.phase in ACTIVE for one in open_ones)
    return active, len(open_ones) - active


async def statement_jobs(context: Context, repl: Repl, number: str) -> StatementJobs:
    """Return the Spark jobs of a statement, as last reported.

    Raises:
        NotFound: the session has no such statement.
    """
    found = await _find(context, repl, number)
    return await context.store.jobs(repl.id, found.number)


async def text_of(
    context: Context, found: Statement, *, offset: int = 0, size: int | None = None
) -> bytes:
    """Return a statement's text, or a slice of it, from its record or from the outputs."""
    if found.ending is None or found.ending.text is None:
        return await context.outputs.read(
            found.session, found.repl, found.number, offset=offset, size=size
        )
    raw = found.ending.text.encode("utf-8")
    return raw[offset : None if size is None else offset + size]


def whole_characters(raw: bytes) -> str:
    """Decode a slice, leaving out the parts of characters that the cut left at its two ends.

    Piece by piece, so that a thread that does it lets others work in between.
    """
    start = 0
    while start < len(raw) and raw[start] & _UTF8_MASK == _UTF8_CONTINUATION:
        start += 1
    decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
    return "".join(decoder.decode(raw[at : at + _PIECE]) for at in range(start, len(raw), _PIECE))


def parse_number(number: str) -> StatementNumber:
    """Return a statement's number.

    Raises:
        NotFound: not a number, so no statement has it.
    """
    if number.isascii() and number.isdecimal() and len(number) <= len(str(_INT32_MAX)):
        return StatementNumber(int(number))
    raise no_statement(number)


def no_statement(number: str) -> NotFound:
    """Return the error for a missing statement."""
    return NotFound(
        "StatementNotFound",
        Message(
            "There is no statement %(number)s in this session: they are numbered from 0.",
            number=repr(number[:20]),
        ),
    )


async def _find(context: Context, repl: Repl, number: str) -> Statement:
    found = await context.store.statement(repl.id, parse_number(number))
    if found is None:
        raise no_statement(number)
    return found


async def _with_head(context: Context, found: Statement, *, follow: bool) -> StatementView:
    size = context.rules.inline_bytes
    if found.phase in FINAL:
        raw = await text_of(context, found, size=size)
        data = found.ending.data if found.ending is not None else None
        return StatementView(found, whole_characters(raw), whole=len(raw) < size, data=data)
    if not follow:
        return StatementView(found, "")
    printed = await context.outputs.size(found.session, found.repl, found.number)
    raw = await text_of(context, found, offset=max(0, printed - size), size=size)
    return StatementView(found, whole_characters(raw), whole=printed <= size)


async def _with_output(context: Context, found: Statement, window: Window | None) -> StatementView:
    """Return a statement with its whole output, or with a window of its text."""
    if window is None and found.phase not in FINAL:
        return StatementView(found, "")
    asked = window or Window()
    raw = await text_of(context, found, offset=asked.offset, size=asked.size)
    data = found.ending.data if found.ending is not None else None
    if found.ending is not None and found.ending.data_elsewhere:
        data = await context.outputs.read_data(found.session, found.repl, found.number) or None
    if len(raw) <= _SMALL:
        text = whole_characters(raw)
    else:
        text = await asyncio.to_thread(whole_characters, raw)
    return StatementView(found, text, whole=window is None, data=data)
