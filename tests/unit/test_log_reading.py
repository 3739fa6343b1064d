"""Logs of any length, by line."""

import asyncio
import re
from dataclasses import dataclass

import pytest

from livius.domain.log_lines import Level, read_lines
from livius.usecases import log_reading
from livius.usecases.log_reading import (
    COUNTED,
    MOST_FOUND,
    MOST_LINES,
    SEARCHED,
    LineNumbers,
    Part,
)

INFO = b"26/01/01 10:00:00 INFO TaskSetManager: Finished task in stage 0.0 (TID 1) in 9 ms\n"
ERROR = b"26/01/01 10:00:01 ERROR Executor: Exception\njava.lang.Error: no\n\tat a.B(C.java:1)\n"
MIB = 2**20


@dataclass
class Log:
    """A log, and how much of it has been read."""

    text: bytes
    read_bytes: int = 0
    most: int = 0

    async def read(self, offset: int, size: int) -> bytes:
        piece = self.text[offset : offset + size]
        self.read_bytes += len(piece)
        self.most = max(self.most, len(piece))
        return piece


def joined(log: Log, part: Part) -> bytes:
    """The bytes of a part, whose lines are all there, each at its offset."""
    for line in part.lines:
        assert log.text[line.offset :].startswith(line.text.encode())
        assert line.offset == 0 or log.text[line.offset - 1 : line.offset] == b"\n"
    return log.text[part.start : part.end]


def test_the_end_of_a_long_log_is_read_alone() -> None:
    log = Log(INFO * (50 * MIB // len(INFO)) + b"last")
    part = asyncio.run(log_reading.lines_before(log.read, len(log.text)))
    assert part.end == len(log.text)
    assert part.lines[-1].text == "last"
    assert len(part.lines) == MOST_LINES
    assert joined(log, part).count(b"\n") == MOST_LINES - 1
    assert log.read_bytes < MIB


def test_a_log_is_paged_in_both_directions_without_a_gap() -> None:
    log = Log(b"".join(b"%d %s\n" % (n, b"x" * (n % 700)) for n in range(5000)) + b"end")
    pieces, end = list[bytes](), len(log.text)
    while end:
        part = asyncio.run(log_reading.lines_before(log.read, end))
        pieces.append(joined(log, part))
        end = part.start
    assert b"".join(reversed(pieces)) == log.text
    whole, start = b"", 0
    while start < len(log.text):
        part = asyncio.run(log_reading.lines_from(log.read, start))
        whole += joined(log, part)
        start = part.end
    assert whole == log.text


def test_a_line_is_shown_with_its_neighbours_wherever_it_is_pointed_at() -> None:
    log = Log(b"".join(b"line %d\n" % n for n in range(10_000)))
    for number in (0, 1, 5000, 9999):
        at = log.text.index(b"line %d\n" % number)
        for offset in (at, at + 3):
            part = asyncio.run(log_reading.lines_around(log.read, offset))
            texts = [line.text for line in part.lines]
            assert f"line {number}" in texts
            assert number == 0 or f"line {number - 1}" in texts


def test_lines_that_are_longer_than_any_window_are_cut() -> None:
    log = Log(b"a\n" + b"z" * (9 * MIB) + b"\nb")
    part = asyncio.run(log_reading.lines_before(log.read, len(log.text)))
    assert part.lines[-1].text == "b"
    assert part.start < part.end
    assert log.read_bytes < MIB
    found = asyncio.run(log_reading.search(log.read, "ZZZ", end=len(log.text)))
    assert found.offsets  # in pieces
    assert asyncio.run(log_reading.lines_before(log.read, 0)).lines == []
    assert asyncio.run(log_reading.lines_from(Log(b"").read, 0)).lines == []


def test_a_trace_at_the_beginning_of_a_part_belongs_to_what_is_above() -> None:
    log = Log(INFO * 100 + ERROR + INFO)
    at = log.text.index(b"java.lang")
    part = asyncio.run(log_reading.lines_from(log.read, at))
    assert [(one.level, one.is_more) for one in part.lines] == [
        (Level.ERROR, True),
        (Level.ERROR, True),
        (Level.INFO, False),
    ]


def test_a_search_goes_up_from_the_end_within_bounds() -> None:
    needle = b"a Needle here\n"
    log = Log(needle + INFO * (SEARCHED // len(INFO) + 1000) + needle + INFO)
    found = asyncio.run(log_reading.search(log.read, "needle", end=len(log.text)))
    assert found.offsets == [log.text.rindex(needle)]
    assert 0 < found.since < len(log.text) - SEARCHED + MIB
    assert log.read_bytes <= SEARCHED + MIB
    assert log.most <= 4 * MIB
    further = asyncio.run(log_reading.search(log.read, "needle", end=found.since))
    assert further.offsets == [0]
    assert further.since == 0
    many = asyncio.run(log_reading.search(log.read, "taskset", end=len(log.text)))
    assert len(many.offsets) == MOST_FOUND
    assert many.since == many.offsets[0]


def test_errors_come_with_their_traces_wherever_blocks_are_cut() -> None:
    log = Log((INFO * 997 + ERROR) * 150)
    assert len(log.text) > 8 * MIB
    part = asyncio.run(log_reading.errors_before(log.read, len(log.text)))
    assert b"".join(line.text.encode() + b"\n" for line in part.lines) == ERROR * 150
    assert [line.offset for line in part.lines[::3]] == [
        found.start() for found in re.finditer(re.escape(ERROR), log.text)
    ]
    since = part.lines[3].offset
    fewer = asyncio.run(log_reading.errors_before(log.read, len(log.text), since=since))
    assert fewer.lines == part.lines[3:]
    many = Log(ERROR * 1000)
    part = asyncio.run(log_reading.errors_before(many.read, len(many.text)))
    assert len(part.lines) == MOST_LINES // 3 * 3
    earlier = asyncio.run(log_reading.errors_before(many.read, part.start))
    assert earlier.end == part.start
    assert earlier.lines[-1].offset < part.start


def test_lines_are_counted_a_part_at_a_time_and_only_once() -> None:
    log, numbers = Log(INFO * (40 * MIB // len(INFO))), LineNumbers()
    last = len(log.text) - len(INFO)

    def ask(*offsets: int) -> list[int | None]:
        log.read_bytes = 0
        found = list(asyncio.run(numbers.of("log", log.read, offsets)))
        assert log.read_bytes <= COUNTED + 2 * MIB
        return found

    assert ask(0, len(INFO) * 7, last) == [1, 8, None]
    assert ask(last) == [None]
    assert ask(last) == [len(log.text) // len(INFO)]
    log.text += INFO * 2
    assert ask(last, last + len(INFO), last + 2 * len(INFO)) == [
        len(log.text) // len(INFO) - 2,
        len(log.text) // len(INFO) - 1,
        len(log.text) // len(INFO),
    ]
    assert log.read_bytes < 3 * MIB
    assert ask() == []


def test_many_errors_are_read_from_the_last_on() -> None:
    """Each is looked at with what follows, so all of a block would take seconds."""
    line = b"26/01/01 10:00:01 ERROR x: no\n"
    log = Log(line * (MIB // len(line)))
    read = list[int]()

    def counted(*arguments: object, **options: object) -> object:
        read.append(1)
        return read_lines(*arguments, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_reading, "read_lines", counted)
        part = asyncio.run(log_reading.errors_before(log.read, len(log.text)))
    assert len(part.lines) == MOST_LINES
    assert part.lines[-1].offset == len(log.text) - len(line)
    assert len(read) < 2 * MOST_LINES


def test_an_error_that_a_trace_repeats_is_a_part_of_it() -> None:
    entry = ERROR + b"\tcaused by 26/01/01 ERROR inside\n"
    log = Log((INFO + entry) * 3)
    part = asyncio.run(log_reading.errors_before(log.read, len(log.text)))
    assert "".join(f"{one.text}\n" for one in part.lines) == (entry * 3).decode()
