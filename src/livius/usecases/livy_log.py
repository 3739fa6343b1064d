"""What the gateway did for sessions, as logs that are asked for piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Final

from livius.domain.activity import STEPS
from livius.domain.ids import SessionId
from livius.domain.session import Session
from livius.domain.statement import FINAL, Statement
from livius.ports.store import Statements

_AT_ONCE: Final = 500
_REMEMBERED: Final = 8

_Line = tuple[datetime, bytes]


@dataclass(frozen=True, slots=True)
class _Settled:
    """The lines, in order, of the first so many statements of a session. These have all ended."""

    statements: int = 0
    lines: tuple[_Line, ...] = ()


class LivyLogs:
    """The logs. Each only ever grows at its end, and has no code.

    A statement that has ended does not change any more, so its lines are remembered, for the few
    sessions that were asked about last: of each piece only what came since is read from the store.
    """

    def __init__(self, store: Statements) -> None:
        self._store = store
        self._settled: dict[SessionId, _Settled] = {}

    async def text(self, session: Session) -> bytes:
        """Return a session's log: a line for each thing, in order of time.

        Whether the caller may read it was asked before (`livius.usecases.monitoring`).
        """
        settled, open_lines = await self._read(session)
        self._remember(session.id, settled)
        steps = [
            _line(at, f"session {name.replace('_', ' ')}")
            for name, phase in STEPS.items()
            if phase is not None and (at := session.times.get(phase)) is not None
        ]
        lines = sorted((*steps, *settled.lines, *open_lines), key=itemgetter(0))
        if session.ended_at is not None:
            reason = session.end_reason or "no reason is known"
            lines.append(_line(session.ended_at, f"session {session.phase}: {reason}"))
        return b"".join(text for _at, text in lines)

    async def _read(self, session: Session) -> tuple[_Settled, list[_Line]]:
        """Return what is settled by now, and the lines of the statements after it."""
        known = self._settled.get(session.id, _Settled())
        count, lines, open_lines = known.statements, list(known.lines), list[_Line]()
        read, total = count, count + 1
        while read < total:
            # Piece by piece: of each there are a few words to keep, but code and outputs to read.
            statements, total = await self._store.list_statements(
                session.repl, skip=read, top=_AT_ONCE
            )
            for one in statements:
                if open_lines or one.phase not in FINAL:
                    open_lines += _told(one)
                else:
                    lines += _told(one)
                    count += 1
            read += _AT_ONCE
        if count == known.statements:
            return known, open_lines
        return _Settled(count, tuple(sorted(lines, key=itemgetter(0)))), open_lines

    def _remember(self, session: SessionId, settled: _Settled) -> None:
        self._settled.pop(session, None)
        self._settled[session] = settled
        while len(self._settled) > _REMEMBERED:
            del self._settled[next(iter(self._settled))]


def _told(one: Statement) -> Iterator[_Line]:
    """Yield what happened to a statement."""
    what = f"statement {one.number} ({one.kind})"
    yield _line(one.created_at, f"{what} accepted")
    if one.started_at is not None:
        yield _line(one.started_at, f"{what} running")
    if one.ended_at is not None:
        ok = one.ending is not None and one.ending.ok
        yield _line(one.ended_at, f"{what} {one.phase}{'' if ok else ', with an error'}")


def _line(at: datetime, text: str) -> _Line:
    return at, f"{at:%Y-%m-%dT%H:%M:%S.%fZ} {text}\n".encode()
