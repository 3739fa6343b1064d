"""Livy logs: the gateway's acts for a session, as a log that is read in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Final, Protocol

from livius.domain.activity import STEPS
from livius.domain.ids import ReplId, SessionId
from livius.domain.repl import Phase
from livius.domain.session import Session
from livius.domain.statement import FINAL, Statement
from livius.ports.store import Repls, Statements

_AT_ONCE: Final = 500
_REMEMBERED: Final = 8

_Line = tuple[datetime, bytes]


@dataclass(frozen=True, slots=True)
class _Settled:
    """The lines, in order, of the first so many statements of a repl. These have all ended.

    ``is_complete`` once they are all: the repl had closed before they were read.
    """

    statements: int = 0
    lines: tuple[_Line, ...] = ()
    is_complete: bool = False


class LoggedRecords(Statements, Repls, Protocol):
    """The records that logs are made of."""


class LivyLogs:
    """The logs.

    Each grows only at its end, and has no code. An ended statement doesn't change any more, so its
    lines are cached for the sessions that were read last: a further read queries the store only for
    newer statements.
    """

    def __init__(self, store: LoggedRecords) -> None:
        self._store = store
        self._settled: dict[SessionId, Mapping[ReplId, _Settled]] = {}

    async def text(self, session: Session) -> bytes:
        """Return a session's log: one line per event, in order of time.

        The caller's right was checked before (`livius.usecases.monitoring`).
        """
        settled, open_lines = await self._read(session)
        self._remember(session.id, settled)
        ended = (line for one in settled.values() for line in one.lines)
        steps = [
            _line(at, f"session {name.replace('_', ' ')}")
            for name, phase in STEPS.items()
            if phase is not None and (at := session.times.get(phase)) is not None
        ]
        lines = sorted((*steps, *ended, *open_lines), key=itemgetter(0))
        if session.ended_at is not None:
            reason = session.end_reason or "no reason is known"
            lines.append(_line(session.ended_at, f"session {session.phase}: {reason}"))
        return b"".join(text for _at, text in lines)

    async def _read(self, session: Session) -> tuple[Mapping[ReplId, _Settled], list[_Line]]:
        """Return each repl's final lines, and the lines of the statements after them."""
        known = self._settled.get(session.id, {})
        settled, open_lines = dict[ReplId, _Settled](), list[_Line]()
        if not session.is_shared:
            only = session.first_repl
            settled[only] = await self._read_repl(
                only, known.get(only, _Settled()), open_lines, of=""
            )
            return settled, open_lines
        for repl, _handle in await self._store.repls_of_session(session.id):
            before = known.get(repl.id, _Settled())
            if not before.is_complete:
                read = await self._read_repl(repl.id, before, open_lines, of=f" of repl {repl.id}")
                before = replace(read, is_complete=repl.phase is Phase.CLOSED)
            settled[repl.id] = before
        return settled, open_lines

    async def _read_repl(
        self, repl: ReplId, known: _Settled, open_lines: list[_Line], *, of: str
    ) -> _Settled:
        """Return a repl's final lines, and add the lines of the statements after them."""
        count, lines, has_open = known.statements, list(known.lines), False
        read, total = count, count + 1
        while read < total:
            # In pieces: the lines are short, but code and outputs have to be read for them.
            statements, total = await self._store.list_statements(repl, skip=read, top=_AT_ONCE)
            for one in statements:
                has_open = has_open or one.phase not in FINAL
                if has_open:
                    open_lines += _events(one, of)
                else:
                    lines += _events(one, of)
                    count += 1
            read += _AT_ONCE
        if count == known.statements:
            return known
        return _Settled(count, tuple(sorted(lines, key=itemgetter(0))))

    def _remember(self, session: SessionId, settled: Mapping[ReplId, _Settled]) -> None:
        self._settled.pop(session, None)
        self._settled[session] = settled
        while len(self._settled) > _REMEMBERED:
            del self._settled[next(iter(self._settled))]


def _events(one: Statement, of: str) -> Iterator[_Line]:
    """Yield the events of a statement; ``of`` names its repl where there are several."""
    what = f"statement {one.number} ({one.kind}){of}"
    yield _line(one.created_at, f"{what} accepted")
    if one.started_at is not None:
        yield _line(one.started_at, f"{what} running")
    if one.ended_at is not None:
        ok = one.ending is not None and one.ending.ok
        yield _line(one.ended_at, f"{what} {one.phase}{'' if ok else ', with an error'}")


def _line(at: datetime, text: str) -> _Line:
    return at, f"{at:%Y-%m-%dT%H:%M:%S.%fZ} {text}\n".encode()
