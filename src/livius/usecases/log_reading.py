"""Reads logs of any length by line: from their ends, around a line, the errors, and a text.

No function reads a log whole: each reads a part of a stated size, and says where it ended. The
caller's right was checked before (`livius.usecases.monitoring`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from livius.domain.log_lines import ERROR_MARKS, Level, Line, entry, read_line, read_lines

Read = Callable[[int, int], Awaitable[bytes]]
"""Returns up to so many bytes of a log from an offset."""

MOST_LINES: Final = 1000
MOST_FOUND: Final = 200
_WINDOW: Final = 128 * 1024
_ABOVE: Final = 16 * 1024
_ABOVE_LINES: Final = 100
"""What is read before a part to see which entry its first lines belong to: bytes, lines of them."""
_CHUNK: Final = 4 * 1024 * 1024
SEARCHED: Final = 64 * 1024 * 1024
"""Bytes that one search goes through."""
_PIECE: Final = 1024 * 1024
COUNTED: Final = 16 * 1024 * 1024
"""Bytes that one request counts lines in."""
_MOST_COUNTED_LOGS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Lines of a log, the bytes from ``start`` to ``end``."""

    lines: Sequence[Line]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Offsets of the last lines that match, in order; ``since`` is where the search ended."""

    offsets: Sequence[int]
    since: int


async def lines_before(read: Read, end: int) -> Part:
    """Return the last lines before an offset, at which a line begins or the log ends."""
    begin = max(0, end - _WINDOW)
    raw, offset = await _whole_lines(read, begin, end)
    lines = await asyncio.to_thread(_last_lines, raw, offset, begin)
    end = offset + len(raw)
    return Part(lines=lines, start=lines[0].offset if lines else end, end=end)


def _last_lines(raw: bytes, offset: int, begin: int) -> list[Line]:
    """Return up to `MOST_LINES` lines, the first of them the one that has the byte ``begin``."""
    cut = len(raw)
    for _line in range(MOST_LINES + _ABOVE_LINES):
        if not cut:
            break
        cut = raw.rfind(b"\n", 0, cut - 1) + 1
    lines = list(read_lines(raw[cut:], offset + cut))
    first = next((at for at in reversed(range(len(lines))) if lines[at].offset <= begin), 0)
    return lines[first:][-MOST_LINES:]


async def lines_from(read: Read, start: int) -> Part:
    """Return the lines from the one that has the byte ``start``, whole ones where there are."""
    raw, offset = await _whole_lines(read, start, start + _WINDOW)
    end = offset + len(raw)
    lines = await asyncio.to_thread(_first_lines, raw, offset, start)
    if len(lines) > MOST_LINES or (len(lines) > 1 and end == start + _WINDOW):
        # It is one too many, or goes on behind the window.
        end = lines.pop().offset
    return Part(lines=lines, start=lines[0].offset if lines else end, end=end)


def _first_lines(raw: bytes, offset: int, start: int) -> list[Line]:
    """Return the line that has the byte ``start``, and up to `MOST_LINES` more."""
    kept: list[Line] = []
    for one in read_lines(raw, offset):
        if one.offset <= start:
            kept.clear()
        kept.append(one)
        if len(kept) > MOST_LINES:
            break
    return kept


async def lines_around(read: Read, at: int) -> Part:
    """Return the lines around the one that has the byte ``at``."""
    before = await lines_before(read, at)
    near = at - _WINDOW // 4
    above = [one for one in before.lines if one.offset >= near][-MOST_LINES // 4 :]
    return await lines_from(read, above[0].offset if above else at)


async def _whole_lines(read: Read, begin: int, end: int) -> tuple[bytes, int]:
    """Return a part of a log and some lines above it, with the offset of the first.

    Of a line that is longer than what is read above the part, there is the end.
    """
    above = max(0, begin - _ABOVE)
    raw = await read(above, end - above)
    skipped = raw.find(b"\n", 0, begin - above) + 1 if above else 0
    return raw[skipped:], above + skipped


async def search(read: Read, text: str, *, end: int) -> Found:
    """Return the last `MOST_FOUND` lines before ``end`` with a text; ASCII's case is ignored."""
    needle, found = text.encode("utf-8", "replace").lower(), list[int]()
    since = end
    async for since, block in _blocks(read, end):
        found = [*await asyncio.to_thread(_matches, block, needle, since), *found]
        if len(found) > MOST_FOUND:
            return Found(offsets=found[-MOST_FOUND:], since=found[-MOST_FOUND])
    return Found(offsets=found, since=since)


def _matches(block: bytes, needle: bytes, offset: int) -> list[int]:
    """Return where the lines of a block with the text begin."""
    lowered = block.lower()
    return [offset + at for at in _line_starts(lowered, needle)]


def _line_starts(block: bytes, needle: bytes) -> Iterator[int]:
    at = block.find(needle)
    while at >= 0:
        yield block.rfind(b"\n", 0, at) + 1
        stop = block.find(b"\n", at)
        at = block.find(needle, stop) if stop >= 0 else -1


async def errors_before(read: Read, end: int, *, since: int = 0) -> Part:
    """Return the last entries before ``end`` that are errors, with their stack traces.

    Those that begin before the line that has the byte ``since`` are left out.
    """
    lines = list[Line]()
    least = (await lines_from(read, since)).start if since else 0
    since = end
    async for since, block in _blocks(read, end, least):
        below = await read(since + len(block), min(_ABOVE, end - since - len(block)))
        missing = MOST_LINES - len(lines)
        lines = [*await asyncio.to_thread(_errors, block, below, since, missing), *lines]
        if len(lines) > MOST_LINES:
            # Whole entries, unless one alone is longer.
            kept = lines[-MOST_LINES:]
            first = next((at for at, one in enumerate(kept) if not one.is_more), 0)
            return Part(lines=kept[first:], start=kept[first].offset, end=end)
    return Part(lines=lines, start=since, end=end)


def _errors(block: bytes, below: bytes, offset: int, most: int) -> list[Line]:
    """Return the error entries that begin in a block; ``below`` is what follows it in the log.

    The last ones are read first, until there are more than ``most`` lines.
    """
    starts = sorted({at for mark in ERROR_MARKS for at in _line_starts(block, mark)}, reverse=True)
    whole, lines = block + below, deque[Line]()
    for at in starts:
        stop = whole.find(b"\n", at) + 1 or len(whole)
        if read_line(whole[at:stop], offset + at, above=None).level is not Level.ERROR:
            continue
        found = entry(read_lines(whole[at : at + _ABOVE], offset + at))
        while lines and lines[0].offset <= found[-1].offset:  # a part of this entry
            lines.popleft()
        lines.extendleft(reversed(found))
        if len(lines) > most:
            break
    return list(lines)


async def _blocks(read: Read, end: int, least: int = 0) -> AsyncIterator[tuple[int, bytes]]:
    """Yield the log before ``end`` in blocks of whole lines with their offsets, the last first.

    It ends at ``least``, where a line begins, or after `SEARCHED` bytes.
    """
    until = max(least, end - SEARCHED)
    while end > until:
        begin = max(until, end - _CHUNK)
        block = await read(begin, end - begin)
        # A line that is longer than a block is searched in pieces.
        cut = block.find(b"\n") + 1 if begin > least else 0
        if cut >= len(block):
            cut = 0
        end = begin + cut
        yield end, block[cut:]


class LineNumbers:
    """The numbers of lines, by the offsets at which they begin.

    Counted lines are remembered for the logs that were read last: one number for each MiB.
    """

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    async def of(self, log: str, read: Read, offsets: Sequence[int]) -> Sequence[int | None]:
        """Return the numbers of lines, from 1; None where too much is uncounted yet.

        ``log`` names the log, ``offsets`` are in order. A call counts up to `COUNTED` more bytes.
        """
        counts = await self._counted(log, read, max(offsets, default=0))
        numbers: list[int | None] = []
        piece, base, seen, raw = -1, 0, 0, b""
        for offset in offsets:
            at = offset // _PIECE
            if at >= len(counts):
                numbers.append(None)
                continue
            if at != piece:
                piece, base = at, counts[at]
                raw = await read(at * _PIECE, min(_PIECE, offsets[-1] - at * _PIECE))
                seen = 0
            here = offset - at * _PIECE
            base += raw.count(b"\n", seen, here)
            seen = here
            numbers.append(base + 1)
        return numbers

    async def _counted(self, log: str, read: Read, until: int) -> Sequence[int]:
        counts = self._counts.pop(log, [0])
        self._counts[log] = counts
        while len(self._counts) > _MOST_COUNTED_LOGS:
            del self._counts[next(iter(self._counts))]
        for _piece in range(COUNTED // _PIECE):
            known = len(counts)
            if known * _PIECE > until:
                break
            raw = await read((known - 1) * _PIECE, _PIECE)
            if len(raw) < _PIECE:
                break
            if len(counts) == known:  # nobody else has meanwhile
                counts.append(counts[-1] + raw.count(b"\n"))
        return counts
