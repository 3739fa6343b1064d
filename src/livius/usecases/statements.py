"""Statements: submit, look, cancel."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from livius.domain.audit import Action
from livius.domain.errors import Invalid, NotFound
from livius.domain.identity import Principal
from livius.domain.ids import StatementNumber
from livius.domain.jobs import StatementJobs
from livius.domain.messages import Message
from livius.domain.permissions import READ_SESSION, RUN, STEER
from livius.domain.session import Phase as SessionPhase
from livius.domain.session import Session
from livius.domain.statement import (
    FINAL,
    Event,
    Kind,
    Phase,
    Statement,
    cancelled_before_start,
)
from livius.ports.notifications import OutputGrew, StatementsChanged, Topic
from livius.ports.store import NewStatement
from livius.usecases.access import SessionPath, may_run_code, own_session
from livius.usecases.audit import by_caller
from livius.usecases.context import Context
from livius.usecases.dispatch import note_end, pump, send_cancel, send_run

DEFAULT_KIND: Final = Kind.PYSPARK
_ALIASES: Final = {"scala": Kind.SPARK, "python": Kind.PYSPARK, "r": Kind.SPARKR}
_INT32_MAX: Final = 2**31 - 1
_SMALL: Final = 64 * 1024
"""Bytes of text that are decoded on the event loop; of more a thread takes care."""
_PIECE: Final = 256 * 1024

_UTF8_MASK: Final = 0b1100_0000
_UTF8_CONTINUATION: Final = 0b1000_0000


@dataclass(frozen=True, slots=True)
class StatementView:
    """A statement and the text it printed; ``whole`` unless only a window of it was asked for.

    Before the statement ends there is text only for who asked for a window: who reads on from
    where it was, while others take any output for the end. ``data`` is the JSON object of its data
    as the driver sent it: nothing parses it on the way.
    """

    statement: Statement
    text: str
    whole: bool = True
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which bytes of the text to give (Fabric contract 2.6)."""

    offset: int = 0
    size: int | None = None


def parse_kind(kind: str | None) -> Kind:
    """Return the kind by its name or by classic Livy's alias.

    Raises:
        Invalid: unknown, or one that can't run here.
    """
    if kind is None:
        return DEFAULT_KIND
    try:
        found = _ALIASES.get(kind.lower()) or Kind(kind.lower())
    except ValueError:
        raise Invalid(
            "InvalidInput",
            Message(
                "kind is one of %(kinds)s, not %(kind)s.",
                kinds=", ".join(Kind),
                kind=repr(kind[:40]),
            ),
            field="kind",
        ) from None
    if found is Kind.SPARKR:
        raise Invalid(
            "SparkRNotAvailable",
            Message(
                "The kind sparkr is not available here, because the installed Spark has no "
                "SparkR. Use spark, pyspark or sql."
            ),
            field="kind",
        )
    return found


async def may_submit(context: Context, caller: Principal, path: SessionPath) -> Session:
    """Return the session that a path names, if the caller may run code in it.

    Raises:
        NotFound: there is no such session.
        Forbidden: the caller may not.
    """
    session = await own_session(context, caller, path, RUN)
    may_run_code(context, caller)
    return session


async def submit(
    context: Context,
    caller: Principal,
    session: Session,
    *,
    code: str,
    kind: str | None,
    source_id: str | None,
) -> StatementView:
    """Record a statement, durably, then have it run. The session comes from `may_submit`.

    While the session starts it waits.

    Raises:
        NotFound: the session has ended.
        Unavailable: the disk is full.
    """
    parsed = parse_kind(kind)
    context.capacity.check_disk()
    if session.narrowed_by(caller) != session.token_principal:
        await context.store.narrow_token_principal(session.id, caller)  # before its code can run
    reachable = session.phase is SessionPhase.READY and context.links.is_open(session.driver)
    statement = await context.store.add_statement(
        NewStatement(
            session=session.id,
            repl=session.repl,
            driver=session.driver,
            kind=parsed,
            code=code,
            source_id=source_id,
            at=context.clock.now(),
        ),
        claim=reachable,
        audit=by_caller(context, caller, session, Action.STATEMENT_SUBMIT, code=code),
    )
    if statement is None:
        raise NotFound(
            "SessionNotFound",
            Message(
                "The session %(session)s has ended and takes no statements. Create a new one.",
                session=session.id,
            ),
        )
    context.notifications.notify(StatementsChanged(session.id))
    if statement.phase is Phase.RUNNING:
        send_run(context, statement)
    elif context.links.is_open(session.driver):
        # The link may have opened, or the repl become free, since we looked.
        await pump(context, session)
    return StatementView(statement, "")


async def get_statement(
    context: Context,
    caller: Principal,
    path: SessionPath,
    number: str,
    window: Window | None = None,
    *,
    long_poll: timedelta = timedelta(),
) -> StatementView:
    """Return one statement, with its output if it has ended.

    Before that, the answer is held for up to ``long_poll`` and given the instant that it ends; to
    who asked for a window also when there is text in it.
    """
    session = await own_session(context, caller, path, READ_SESSION)
    parsed = parse_number(number)
    topics: list[Topic] = [(session.repl, parsed)]
    if window is not None:
        topics.append(OutputGrew(session.repl, parsed))
    with context.notifications.watch(*topics) as watch:
        # Watched before it is looked at, so that no change falls between the two.
        found = await context.store.statement(session.repl, parsed)
        if long_poll and found is not None and found.phase not in FINAL:
            size = await context.outputs.size(session.id, session.repl, parsed)
            told = None
            if window is None or size <= window.offset:
                told = await watch.changed(long_poll.total_seconds())
            found = told or await context.store.statement(session.repl, parsed)
    if found is None:
        raise no_statement(number)
    return await with_output(context, found, window)


async def list_statements(
    context: Context,
    caller: Principal,
    path: SessionPath,
    *,
    skip: int,
    top: int,
    newest_first: bool = False,
) -> tuple[Sequence[StatementView], int]:
    """Return one page of a session's statements, with the heads of their outputs.

    A head is the beginning of the text, and the data where it is small.
    """
    session = await own_session(context, caller, path, READ_SESSION)
    found, total = await context.store.list_statements(
        session.repl, skip=skip, top=top, newest_first=newest_first
    )
    return [await with_head(context, statement) for statement in found], total


async def with_head(context: Context, found: Statement) -> StatementView:
    """Return a statement with the beginning of its text, and its data where that is small."""
    if found.phase not in FINAL:
        return StatementView(found, "")
    size = context.rules.inline_bytes
    raw = await text_of(context, found, size=size)
    data = found.ending.data if found.ending is not None else None
    return StatementView(found, whole_characters(raw), whole=len(raw) < size, data=data)


async def with_output(context: Context, found: Statement, window: Window | None) -> StatementView:
    """Return a statement with all of its output, or a window of its text."""
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


async def statement_jobs(
    context: Context, caller: Principal, path: SessionPath, number: str
) -> StatementJobs:
    """Return the Spark jobs of a statement: as they run, and as they were when it had ended."""
    session = await own_session(context, caller, path, READ_SESSION)
    return await jobs_of_statement(context, session, number)


async def jobs_of_statement(context: Context, session: Session, number: str) -> StatementJobs:
    """Return what is known of a statement's Spark jobs; a look into the store, no more.

    Raises:
        NotFound: there is no such statement.
    """
    parsed = parse_number(number)
    if await context.store.statement(session.repl, parsed) is None:
        raise no_statement(number)
    return await context.store.jobs(session.repl, parsed)


async def cancel_statement(
    context: Context, caller: Principal, path: SessionPath, number: str
) -> None:
    """Have a statement stopped.

    One that waits is cancelled at once; to a finished one nothing happens, as in classic Livy.
    """
    session = await own_session(context, caller, path, STEER)
    parsed = parse_number(number)
    found = await context.store.statement(session.repl, parsed)
    if found is None:
        raise no_statement(number)
    moved = await context.store.move_statement(
        found.repl,
        found.number,
        Event.CANCEL_REQUESTED,
        at=context.clock.now(),
        ending=cancelled_before_start() if found.phase is Phase.WAITING else None,
        audit=by_caller(context, caller, session, Action.STATEMENT_CANCEL),
    )
    if moved is not None:
        context.notifications.notify(StatementsChanged(session.id))
    if moved is not None and moved.phase is Phase.CANCELLING:
        send_cancel(context, moved)
    elif moved is not None:
        note_end(context.meter, moved, "cancelled")
        context.notifications.notify((moved.repl, moved.number))


def parse_number(number: str) -> StatementNumber:
    """Return a statement's number.

    Raises:
        NotFound: not a number, so no statement has it.
    """
    if number.isascii() and number.isdecimal() and len(number) <= len(str(_INT32_MAX)):
        return StatementNumber(int(number))
    raise no_statement(number)


def no_statement(number: str) -> NotFound:
    """Return the error for a statement that is not there."""
    return NotFound(
        "StatementNotFound",
        Message(
            "There is no statement %(number)s in this session: they are numbered from 0.",
            number=repr(number[:20]),
        ),
    )
