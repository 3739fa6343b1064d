"""Reads statements with their outputs and Spark jobs.

Each function takes a repl that the caller may read: from `livius.usecases.access.own_repl` for the
Livy routes, from `livius.usecases.monitoring.activity_repl` for monitoring, which has deleted
sessions too.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import accumulate
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
_INSIDE_CHARACTER: Final = bytes(range(0x80, 0xC0))
"""Bytes of UTF-8 with which no character begins."""


@dataclass(frozen=True, slots=True)
class StatementView:
    """A statement and its text; ``whole`` unless the request was for a window of it.

    Before the statement's end there is text only for a request with a window: other clients take
    any output for the end. ``end`` is the byte behind the text of a running one that is followed.
    ``data`` is the JSON object of its data as the driver sent it: nothing parses it on the way.
    """

    statement: Statement
    text: str
    whole: bool = True
    data: bytes | None = None
    end: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text, with its place in the whole: from the byte ``start`` until ``end``."""

    text: str
    start: int
    end: int


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


async def recent_code(context: Context, repl: Repl, *, top: int, size: int) -> Sequence[Statement]:
    """Return the newest statements, the last first, with up to ``size`` characters of code in all.

    Their outputs are not read.
    """
    found, _total = await context.store.list_statements(repl.id, skip=0, top=top, newest_first=True)
    sums = accumulate(len(one.code) for one in found)
    return [one for one, total in zip(found, sums, strict=True) if total <= size]


async def statement_head(context: Context, repl: Repl, number: str) -> StatementView:
    """Return one statement as `list_statements` does.

    Raises:
        NotFound: the session has no such statement.
    """
    return await _with_head(context, await _find(context, repl, number), follow=False)


async def statement_with_data(context: Context, repl: Repl, number: str) -> StatementView:
    """Return one statement with the head of its text and all of its data, however large.

    Raises:
        NotFound: the session has no such statement.
    """
    found = await statement_head(context, repl, number)
    return replace(found, data=await _large_data(context, found.statement) or found.data)


async def _large_data(context: Context, found: Statement) -> bytes | None:
    """Return data that is too large for the record; None if there is none."""
    if found.ending is None or not found.ending.data_elsewhere:
        return None
    return await context.outputs.read_data(found.session, found.repl, found.number) or None


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


async def text_piece(context: Context, found: Statement, *, offset: int, size: int) -> Piece:
    """Return a slice of a statement's text without the characters that it has a part of."""
    raw = await text_of(context, found, offset=offset, size=size)
    begun = raw.lstrip(_INSIDE_CHARACTER)
    text = whole_characters(begun)
    start = offset + len(raw) - len(begun)
    return Piece(text, start, start + len(text.encode()))


def whole_characters(raw: bytes) -> str:
    """Decode a slice, leaving out the parts of characters that the cut left at its two ends.

    Piece by piece, so that a thread that does it lets others work in between.
    """
    raw = raw.lstrip(_INSIDE_CHARACTER)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
    return "".join(decoder.decode(raw[at : at + _PIECE]) for at in range(0, len(raw), _PIECE))


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
    piece = await text_piece(context, found, offset=max(0, printed - size), size=size)
    return StatementView(found, piece.text, whole=printed <= size, end=piece.end)


async def _with_output(context: Context, found: Statement, window: Window | None) -> StatementView:
    """Return a statement with its whole output, or with a window of its text."""
    if window is None and found.phase not in FINAL:
        return StatementView(found, "")
    asked = window or Window()
    raw = await text_of(context, found, offset=asked.offset, size=asked.size)
    data = found.ending.data if found.ending is not None else None
    if found.ending is not None and found.ending.data_elsewhere:
        data = await _large_data(context, found)
    if len(raw) <= _SMALL:
        text = whole_characters(raw)
    else:
        text = await asyncio.to_thread(whole_characters, raw)
    return StatementView(found, text, whole=window is None, data=data)
