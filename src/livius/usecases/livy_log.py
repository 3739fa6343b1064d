"""Livy logs: the gateway's acts for a session, as a log that is read in pieces."""

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
    """The logs.

    Each grows only at its end, and has no code. An ended statement doesn't change any more, so its
    lines are cached for the sessions that were read last: a further read queries the store only for
    newer statements.
    """

    def __init__(self, store: Statements) -> None:
        self._store = store
        self._settled: dict[SessionId, _Settled] = {}

    async def text(self, session: Session) -> bytes:
        """Return a session's log: one line per event, in order of time.

        The caller's right was checked before (`livius.usecases.monitoring`).
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
        """Return the final lines, and the lines of the statements after them."""
        known = self._settled.get(session.id, _Settled())
        count, lines, open_lines = known.statements, list(known.lines), list[_Line]()
        read, total = count, count + 1
        while read < total:
            # In pieces: the lines are short, but code and outputs have to be read for them.
            statements, total = await self._store.list_statements(
                session.first_repl, skip=read, top=_AT_ONCE
            )
            for one in statements:
                if open_lines or one.phase not in FINAL:
                    open_lines += _events(one)
                else:
                    lines += _events(one)
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


def _events(one: Statement) -> Iterator[_Line]:
    """Yield the events of a statement."""
    what = f"statement {one.number} ({one.kind})"
    yield _line(one.created_at, f"{what} accepted")
    if one.started_at is not None:
        yield _line(one.started_at, f"{what} running")
    if one.ended_at is not None:
        ok = one.ending is not None and one.ending.ok
        yield _line(one.ended_at, f"{what} {one.phase}{'' if ok else ', with an error'}")


def _line(at: datetime, text: str) -> _Line:
    return at, f"{at:%Y-%m-%dT%H:%M:%S.%fZ} {text}\n".encode()
