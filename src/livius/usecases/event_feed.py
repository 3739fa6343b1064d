"""The events of a repl or a statement, from any position on.

Each event has the position behind it. A caller that lost its stream continues from there, also
after a restart of the gateway, without a gap and without a repeat: all that is sent is read from
the records, and a notice only says when to look.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from livius.domain.errors import Invalid, NotFound
from livius.domain.ids import ReplId, SessionId, StatementNumber
from livius.domain.jobs import StatementJobs
from livius.domain.permissions import READ_SESSION
from livius.domain.principal import Principal
from livius.domain.repl import Repl
from livius.domain.session import FINAL as SESSION_FINAL
from livius.domain.session import Phase as SessionPhase
from livius.domain.session import Session
from livius.domain.statement import FINAL, Phase, Statement
from livius.ports.notifications import OutputGrew, StatementsChanged, Topic
from livius.usecases.access import SessionPath, own_repl
from livius.usecases.context import Context
from livius.usecases.sessions import SessionView
from livius.usecases.statement_reads import (
    StatementView,
    no_statement,
    parse_number,
    text_of,
    whole_characters,
)

BEAT: Final = 15.0
"""Seconds after which a quiet feed shows that it lives, and the caller's rights are checked."""
_LONGEST: Final = 900.0
_PACE: Final = 0.02
"""Seconds between two looks: what is printed faster is sent together."""
_PIECE: Final = 64 * 1024
_END: Final = "end"
_INSIDE_CHARACTER: Final = bytes(range(0x80, 0xC0))
"""Bytes of UTF-8 with which no character begins."""
_POSITION: Final = re.compile(r"(\d{1,9})\.(\d{1,15})\.([a-z]*)\.([0-9a-f]*)\.([a-z]*)")


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where a feed has been sent: a statement's number, and what was sent of it.

    ``offset`` counts the bytes of its text. ``phase`` and ``session`` are the states sent last,
    ``progress`` is a version of the progress sent last; each is empty before the first.
    """

    number: int = 0
    offset: int = 0
    phase: str = ""
    progress: str = ""
    session: str = ""

    def __str__(self) -> str:
        return f"{self.number}.{self.offset}.{self.phase}.{self.progress}.{self.session}"

    @property
    def is_end(self) -> bool:
        """Whether nothing comes after it."""
        return self.session == _END


def parse_position(text: str) -> Position:
    """Read a position again.

    Raises:
        Invalid: the text is none.
    """
    found = _POSITION.fullmatch(text)
    if found is None:
        raise Invalid(
            "InvalidInput",
            "Last-Event-ID is the id of an event of this stream. Leave it out to begin anew.",
            field="Last-Event-ID",
        )
    return Position(int(found[1]), int(found[2]), found[3], found[4], found[5])


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """The session has another state."""

    view: SessionView


@dataclass(frozen=True, slots=True)
class StatementChanged:
    """A statement has another state. An ended one has its output without its text."""

    view: StatementView


@dataclass(frozen=True, slots=True)
class Printed:
    """A piece of a statement's text, and its first byte's place in the whole."""

    number: StatementNumber
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """A statement's Spark jobs have advanced."""

    statement: Statement
    jobs: StatementJobs


@dataclass(frozen=True, slots=True)
class Ended:
    """The feed ends: nothing more can happen. ``number`` is None for a session's."""

    number: StatementNumber | None


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing has happened for a while."""


Event = SessionChanged | StatementChanged | Printed | Progressed | Ended | Quiet


class Feed:
    """One caller's feed of a repl. ``position`` is always behind the event yielded last.

    It ends with `Ended`; without it, as a stream that breaks does, when the gateway ends, when the
    caller's rights do, and after a quarter of an hour, so that a token doesn't count for ever.
    """

    def __init__(
        self, context: Context, caller: Principal, path: SessionPath, position: Position
    ) -> None:
        self.position = position
        self._context = context
        self._caller = caller
        self._path = path

    async def of_statement(self) -> AsyncIterator[Event]:
        """Yield what happens in the statement that the position names."""
        session, repl = await self._enter()

        async def look() -> AsyncIterator[Event]:
            number = StatementNumber(self.position.number)
            statement = await self._context.store.statement(repl.id, number)
            if statement is None:
                return
            async for event in self._statement(statement):
                yield event
            if statement.phase in FINAL:
                self._move(session=_END)
                yield Ended(number)

        async for event in self._follow(session.id, repl.id, look):
            yield event

    async def of_repl(self) -> AsyncIterator[Event]:
        """Yield what happens in the session, and in the repl's statements in order, from one on."""
        session, repl = await self._enter()

        async def look() -> AsyncIterator[Event]:
            try:
                present, _repl = await self._enter()
            except NotFound:  # it was deleted, or the repl released
                self._move(session=_END)
                yield Ended(None)
                return
            async for event in self._repl(present, repl.id):
                yield event

        async for event in self._follow(session.id, repl.id, look):
            yield event

    async def _follow(
        self, session: SessionId, repl: ReplId, look: Callable[[], AsyncIterator[Event]]
    ) -> AsyncIterator[Event]:
        clock = asyncio.get_running_loop().time
        checked = began = clock()
        while clock() < began + _LONGEST:
            topics = self._topics(session, repl)
            # Not counted: feeds have a limit of their own.
            with self._context.notifications.watch(*topics, counted=False) as watch:
                # Watched before it is looked at, so that no change falls between the two.
                async for event in look():
                    yield event
                    if isinstance(event, Ended):
                        return
                if not watch.is_held:
                    return
                if self._topics(session, repl) == topics:
                    await watch.changed(BEAT)
            if clock() >= checked + BEAT:
                await self._enter()
                checked = clock()
                yield Quiet()
            await asyncio.sleep(_PACE)

    async def _enter(self) -> tuple[Session, Repl]:
        return await own_repl(self._context, self._caller, self._path, READ_SESSION)

    def _topics(self, session: SessionId, repl: ReplId) -> tuple[Topic, ...]:
        number = StatementNumber(self.position.number)
        return session, StatementsChanged(session), (repl, number), OutputGrew(repl, number)

    def _move(self, **changes: Any) -> None:
        self.position = replace(self.position, **changes)

    async def _repl(self, session: Session, repl: ReplId) -> AsyncIterator[Event]:
        store = self._context.store
        busy = session.phase is SessionPhase.READY and bool(await store.busy([session.id]))
        state = session.phase.value + ("busy" if busy else "")
        if state != self.position.session:
            self._move(session=state)
            yield SessionChanged(SessionView(session, busy))
        while True:
            number = StatementNumber(self.position.number)
            statement = await store.statement(repl, number)
            if statement is None:
                break
            async for event in self._statement(statement):
                yield event
            if statement.phase not in FINAL:
                break
            self.position = Position(number + 1, session=self.position.session)
        if session.phase in SESSION_FINAL:
            self._move(session=_END)
            yield Ended(None)

    async def _statement(self, statement: Statement) -> AsyncIterator[Event]:
        """Yield what is new of a statement: its end last."""
        is_new = statement.phase.value != self.position.phase
        ending = statement.ending
        if is_new and ending is None:
            self._move(phase=statement.phase.value)
            yield StatementChanged(StatementView(statement, ""))
        async for printed in self._printed(statement):
            yield printed
        if statement.phase is not Phase.WAITING:
            jobs = await self._context.store.jobs(statement.repl, statement.number)
            version = hashlib.sha256(repr((statement.progress, jobs)).encode()).hexdigest()[:12]
            if jobs.total and version != self.position.progress:
                self._move(progress=version)
                yield Progressed(statement, jobs)
        if is_new and ending is not None:
            self._move(phase=statement.phase.value)
            yield StatementChanged(StatementView(statement, "", data=ending.data))

    async def _printed(self, statement: Statement) -> AsyncIterator[Event]:
        while True:
            start = self.position.offset
            raw = await text_of(self._context, statement, offset=start, size=_PIECE)
            begun = raw.lstrip(_INSIDE_CHARACTER)
            text = whole_characters(begun)
            if not text:
                return
            start += len(raw) - len(begun)
            self._move(offset=start + len(text.encode()))
            yield Printed(statement.number, start, text)


async def repl_feed(
    context: Context,
    caller: Principal,
    path: SessionPath,
    *,
    seen: Position | None,
    first: int | None,
) -> Feed:
    """Return a feed for `Feed.of_repl`, behind what was seen or from a first statement on.

    Without either it begins with the first statement that hasn't ended.

    Raises:
        LiviusError: there is no such repl, or the caller may not read it.
    """
    _session, repl = await own_repl(context, caller, path, READ_SESSION)
    if seen is None:
        number = await _present_statement(context, repl) if first is None else first
        seen = Position(number)
    return Feed(context, caller, path, seen)


async def statement_feed(
    context: Context,
    caller: Principal,
    path: SessionPath,
    number: str,
    *,
    seen: Position | None,
    offset: int,
) -> Feed:
    """Return a feed for `Feed.of_statement`, behind what was seen or from a byte of the text on.

    Raises:
        LiviusError: there is no such statement, or the caller may not read it.
        Invalid: what was seen is of another statement.
    """
    _session, repl = await own_repl(context, caller, path, READ_SESSION)
    parsed = parse_number(number)
    if await context.store.statement(repl.id, parsed) is None:
        raise no_statement(number)
    position = seen or Position(parsed, offset)
    if position.number != parsed:
        raise Invalid(
            "InvalidInput", "Last-Event-ID is of another statement.", field="Last-Event-ID"
        )
    return Feed(context, caller, path, position)


async def _present_statement(context: Context, repl: Repl) -> int:
    """Return the number of the repl's first statement that hasn't ended, or of the next one."""
    for statement in await context.store.open_statements(repl.driver):
        if statement.repl == repl.id:
            return statement.number
    _none, total = await context.store.list_statements(repl.id, skip=0, top=0)
    return total
