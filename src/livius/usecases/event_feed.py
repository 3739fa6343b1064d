"""The events of a repl or a statement, from any position on: for the API and for pages.

Each event has the position behind it. A caller that lost its stream continues from there, also
after a restart of the gateway, without a gap and without a repeat: all that is sent is read from
the records, and a notice only says when to look.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from livius.domain.errors import Invalid, NotFound
from livius.domain.ids import StatementNumber
from livius.domain.jobs import StatementJobs
from livius.domain.repl import Repl
from livius.domain.session import FINAL as SESSION_FINAL
from livius.domain.session import Phase as SessionPhase
from livius.domain.session import Session
from livius.domain.statement import FINAL, Phase, Statement
from livius.ports.notifications import Notifications, OutputGrew, StatementsChanged, Topic
from livius.usecases.context import Context
from livius.usecases.queue import QueuePlace, queue_places
from livius.usecases.runtimes import build_step
from livius.usecases.sessions import SessionView
from livius.usecases.statement_reads import StatementView, no_statement, parse_number, text_piece

_Look = TypeVar("_Look")

BEAT: Final = 15.0
"""Seconds after which a quiet feed shows that it lives, and the caller's rights are checked."""
_LONGEST: Final = 900.0
_PACE: Final = 0.02
_PIECE: Final = 64 * 1024
_LONGEST_CHARACTER: Final = 4
"""Bytes of UTF-8."""
_END: Final = "end"
_POSITION: Final = re.compile(
    r"(\d{1,9})\.(\d{1,15})\.([a-z]*)\.([0-9a-f]*)\.([a-z0-9]*)(?:\.([0-9a-f]+))?"
)


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where a feed has been sent: a statement's number, and what was sent of it.

    ``offset`` counts the bytes of its text. ``phase`` and ``session`` are the states sent last,
    ``progress`` and ``queue`` are versions of what was sent last; each is empty before the first.
    """

    number: int = 0
    offset: int = 0
    phase: str = ""
    progress: str = ""
    session: str = ""
    queue: str = ""

    def __str__(self) -> str:
        queue = f".{self.queue}" if self.queue else ""
        return f"{self.number}.{self.offset}.{self.phase}.{self.progress}.{self.session}{queue}"

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
    return Position(int(found[1]), int(found[2]), found[3], found[4], found[5], found[6] or "")


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
class Queued:
    """Other statements than before wait behind the one of which the feed tells."""

    numbers: tuple[StatementNumber, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The feed ends: nothing more can happen. ``number`` is None for a session's."""

    number: StatementNumber | None


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing has happened for a while."""


Event = SessionChanged | StatementChanged | Printed | Progressed | Queued | Ended | Quiet


@dataclass(frozen=True, slots=True)
class Followed:
    """The session and the repl of a feed, as they are now.

    ``version`` is of what the caller shows of the session, in letters and digits: with another one
    the session has changed. Without it, it has when it begins or ends to be busy, too.
    """

    session: Session
    repl: Repl
    version: str = ""


Enter = Callable[[], Awaitable[Followed]]
"""Returns what is followed, or raises a `LiviusError` when the caller may not read it any more."""


async def follow(
    notifications: Notifications,
    *,
    topics: Callable[[], tuple[Topic, ...]],
    look: Callable[[], AsyncIterator[_Look]],
    check: Callable[[], Awaitable[object]],
    beat: Callable[[], float] = lambda: BEAT,
    pace: float = _PACE,
) -> AsyncIterator[_Look | Quiet]:
    """Yield what each look finds: one at once, one after each change, and one after a beat.

    ``topics`` may become others by a look. ``pace`` are the seconds between two looks: a change
    after a quiet time is found at once, changes that come faster are found together. It ends after
    `Ended`, when the gateway ends, when ``check`` raises an error, and after a quarter of an hour,
    so that a token doesn't count for ever.
    """
    clock = asyncio.get_running_loop().time
    checked = began = clock()
    while clock() < began + _LONGEST:
        watched = topics()
        # Not counted: streams have a limit of their own.
        with notifications.watch(*watched, counted=False) as watch:
            # Watched before it is looked at, so that no change falls between the two.
            async for found in look():
                yield found
                if isinstance(found, Ended):
                    return
            if not watch.is_held:
                return
            looked = clock()
            if set(topics()) <= set(watched):
                await watch.changed(beat())
        if clock() >= checked + BEAT:
            await check()
            checked = clock()
            yield Quiet()
        await asyncio.sleep(looked + pace - clock())


class Feed:
    """One caller's feed of a repl. ``position`` is always behind the event yielded last.

    It ends with `Ended`; without it, as a stream that breaks does, for the reasons of `follow`.
    ``most`` is for callers that show the end of a running statement's text only: of text beyond
    so many bytes the feed has the last ones, and of an ended statement none.
    """

    def __init__(
        self, context: Context, enter: Enter, position: Position, *, most: int | None = None
    ) -> None:
        self.position = position
        self._context = context
        self._enter = enter
        self._most = most

    async def of_statement(self) -> AsyncIterator[Event]:
        """Yield what happens in the statement that the position names."""
        repl = (await self._enter()).repl

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

        async for event in self._follow(repl, look):
            yield event

    async def of_repl(self) -> AsyncIterator[Event]:
        """Yield what happens in the session, and in the repl's statements in order, from one on."""
        repl = (await self._enter()).repl

        async def look() -> AsyncIterator[Event]:
            try:
                present = await self._enter()
            except NotFound:  # it was deleted, or the repl released
                self._move(session=_END)
                yield Ended(None)
                return
            async for event in self._repl(present):
                yield event

        async for event in self._follow(repl, look):
            yield event

    def _follow(self, repl: Repl, look: Callable[[], AsyncIterator[Event]]) -> AsyncIterator[Event]:
        def topics() -> tuple[Topic, ...]:
            one = (repl.id, StatementNumber(self.position.number))
            return repl.session, StatementsChanged(repl.session), one, OutputGrew(*one)

        return follow(self._context.notifications, topics=topics, look=look, check=self._enter)

    def _move(self, **changes: Any) -> None:
        self.position = replace(self.position, **changes)

    async def _repl(self, present: Followed) -> AsyncIterator[Event]:
        store, session, repl = self._context.store, present.session, present.repl.id
        unfinished = await store.open_numbers(session.id)
        busy = session.phase is SessionPhase.READY and bool(unfinished)
        place = (await queue_places(self._context, [session])).get(session.id)
        building = build_step(self._context, session)
        state = _state(present, busy=busy, waits=building or _place(place))
        changed = SessionChanged(SessionView(session, busy, place, building=building))
        # Ends of statements come before the state that they lead to: behind it a caller has all.
        comes_last = bool(self.position.session) and not unfinished
        if state != self.position.session and not comes_last:
            self._move(session=state)
            yield changed
        while True:
            number = StatementNumber(self.position.number)
            statement = await store.statement(repl, number)
            if statement is None:
                break
            async for event in self._statement(statement):
                yield event
            if statement.phase not in FINAL:
                break
            self._move(number=number + 1, offset=0, phase="", progress="")
        waiting = [number for of, number in unfinished if of == repl]
        waiting = [number for number in waiting if number > self.position.number]
        if _queue(waiting) != self.position.queue:
            self._move(queue=_queue(waiting))
            yield Queued(tuple(waiting))
        # If another statement has begun meanwhile, the next look finds the state.
        if state != self.position.session and statement is None:
            self._move(session=state)
            yield changed
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
        if ending is None or self._most is None:
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
        of = (statement.session, statement.repl, statement.number)
        size = _PIECE if self._most is None else self._most
        is_more = True
        while is_more:
            start = self.position.offset
            if self._most is not None:
                start = max(start, await self._context.outputs.size(*of) - size)
            piece = await text_piece(self._context, statement, offset=start, size=size)
            if piece.text:
                self._move(offset=piece.end)
                yield Printed(statement.number, piece.start, piece.text)
            # What is printed meanwhile is a change: the next look finds it.
            is_more = self._most is None and piece.end > start + size - _LONGEST_CHARACTER


def _place(place: QueuePlace | None) -> str:
    return f"{place.place}of{place.of}" if place else ""


def _state(followed: Followed, *, busy: bool, waits: str = "") -> str:
    version = "busy" if busy else waits
    return followed.session.phase.value + (followed.version or version)


def _queue(waiting: Sequence[StatementNumber]) -> str:
    return hashlib.sha256(repr(waiting).encode()).hexdigest()[:12] if waiting else ""


def shown_position(followed: Followed, shown: Sequence[StatementView], following: int) -> Position:
    """Return the position behind a repl's last statements as `list_statements` follows them.

    ``following`` is the number of the next one.
    """
    unfinished = [one for one in shown if one.statement.phase not in FINAL]
    state = _state(followed, busy=bool(unfinished))
    if not unfinished:
        return Position(following, session=state)
    first, *others = unfinished
    return Position(
        first.statement.number,
        first.end,
        first.statement.phase.value,
        session=state,
        queue=_queue([one.statement.number for one in others]),
    )


async def repl_feed(
    context: Context,
    enter: Enter,
    *,
    seen: Position | None,
    first: int | None = None,
    most: int | None = None,
) -> Feed:
    """Return a feed for `Feed.of_repl`, behind what was seen or from a first statement on.

    Without either it begins with the first statement that hasn't ended.

    Raises:
        LiviusError: there is no such repl, or the caller may not read it.
    """
    followed = await enter()
    if seen is None:
        seen = Position(await _present_statement(context, followed) if first is None else first)
    return Feed(context, enter, seen, most=most)


async def statement_feed(
    context: Context, enter: Enter, number: str, *, seen: Position | None, offset: int
) -> Feed:
    """Return a feed for `Feed.of_statement`, behind what was seen or from a byte of the text on.

    Raises:
        LiviusError: there is no such statement, or the caller may not read it.
        Invalid: what was seen is of another statement.
    """
    repl = (await enter()).repl
    parsed = parse_number(number)
    if await context.store.statement(repl.id, parsed) is None:
        raise no_statement(number)
    position = seen or Position(parsed, offset)
    if position.number != parsed:
        raise Invalid(
            "InvalidInput", "Last-Event-ID is of another statement.", field="Last-Event-ID"
        )
    return Feed(context, enter, position)


async def _present_statement(context: Context, followed: Followed) -> int:
    """Return the number of the repl's first statement that hasn't ended, or of the next one."""
    repl = followed.repl.id
    for of, number in await context.store.open_numbers(followed.session.id):
        if of == repl:
            return number
    _none, total = await context.store.list_statements(repl, skip=0, top=0)
    return total
