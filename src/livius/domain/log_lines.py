"""Lines of a log: the level of each, and which of them belong to the line above.

Logs come from log4j, Python's logging, structured loggers (one JSON object a line) and prints, all
in one file. A line with a level begins an entry; the lines of a stack trace below it belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Final

LONGEST: Final = 4000
"""Characters of a line that are shown."""
_HEAD: Final = 400
"""Characters of a line in which its level is looked for."""


class Level(StrEnum):
    """How severe an entry is."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line at a byte ``offset``. ``is_more``: it belongs to the entry above it.

    ``word`` is the place of the level's name in the text, if the line has it. ``cut`` counts the
    characters that the text lacks at its end.
    """

    offset: int
    text: str
    level: Level | None = None
    word: tuple[int, int] | None = None
    is_more: bool = False
    cut: int = 0


_WORDS: Final = {
    "TRACE": Level.DEBUG,
    "DEBUG": Level.DEBUG,
    "INFO": Level.INFO,
    "NOTICE": Level.INFO,
    "WARN": Level.WARN,
    "WARNING": Level.WARN,
    "ERROR": Level.ERROR,
    "CRITICAL": Level.ERROR,
    "SEVERE": Level.ERROR,
    "FATAL": Level.ERROR,
}
_NAMES: Final = "|".join(sorted(_WORDS, key=len, reverse=True))
_PLAIN: Final = re.compile(
    r"(?:\[?\d{2,4}[-/]\d\d[-/]\d\d[ T,]+\d\d:\d\d:\d\d\S*\s.{0,100}?"
    r"|\d\d:\d\d:\d\d\S*\s.{0,60}?|\W{0,3})"
    rf"\b({_NAMES})\b(?=[\]:\s,|-]|$)"
)
"""After a moment (log4j's, Python's), in brackets, or at the beginning."""
_JSON: Final = re.compile(
    rf'\{{.*?"(?:level|levelname|severity)"\s*:\s*"({_NAMES})"', re.IGNORECASE
)
_WORDLESS: Final = re.compile(
    r"Traceback \(most recent call last\)|Exception in thread "
    r"|\S+Z (?:statement \d+ .*, with an error$|session failed:)"
)
"""Errors whose lines do not say so: Python's, Java's, and the gateway's own."""
_MORE: Final = re.compile(
    r"\s|$|Caused by:|Suppressed:|During handling of the above|The above exception was"
    r"|Traceback \(most recent|\.\.\. \d+ more|[)}\]]|[+|]"
    r"|(?:[\w$]+\.)*[\w$]*(?:Error|Exception|Throwable|Interrupt|Exit)\b(?::|$)"
)
ERROR_MARKS: Final = (
    *(word.encode() for word, level in _WORDS.items() if level is Level.ERROR),
    *(f'"{word.lower()}"'.encode() for word, level in _WORDS.items() if level is Level.ERROR),
    *(b"Traceback (", b"Exception in thread ", b", with an error", b"Z session failed:"),
)
"""What a line that begins an error has, one of these: a fast search for candidates."""


def begins(text: str) -> tuple[Level, tuple[int, int] | None] | None:
    """Return the level of a line that begins an entry, and the place of its name in the text."""
    head = text[:_HEAD]
    found = (_JSON if head.startswith("{") else _PLAIN).match(head)
    if found is not None:
        return _WORDS[found[1].upper()], found.span(1)
    return (Level.ERROR, None) if _WORDLESS.match(head) else None


def read_lines(raw: bytes, offset: int) -> Iterator[Line]:
    """Yield the lines of a log's part that begins with a line, at ``offset``."""
    above: Level | None = None
    for one in _split(raw):
        line = read_line(one, offset, above=above)
        above = line.level
        offset += len(one)
        yield line


def _split(raw: bytes) -> Iterator[bytes]:
    """Yield lines that end with a line feed alone: a carriage return is a part of its line."""
    parts = raw.split(b"\n")
    yield from (part + b"\n" for part in parts[:-1])
    if parts[-1]:
        yield parts[-1]


def read_line(raw: bytes, offset: int, *, above: Level | None) -> Line:
    """Read one line; ``above`` is the level of the line before."""
    kept = raw[: 4 * LONGEST].decode("utf-8", "replace").rstrip("\r\n")
    text = kept[:LONGEST]
    cut = max(0, len(kept) - LONGEST + max(0, len(raw) - 4 * LONGEST))
    found = begins(text)
    is_more = above is not None and _MORE.match(text) is not None
    # A trace below a line that says nothing severe is an error of its own.
    if is_more and (found is None or (found[1] is None and above in (Level.WARN, Level.ERROR))):
        return Line(offset=offset, text=text, level=above, is_more=True, cut=cut)
    level, word = found or (None, None)
    return Line(offset=offset, text=text, level=level, word=word, cut=cut)


def entry(lines: Iterator[Line]) -> Sequence[Line]:
    """Return the first line with the lines that belong to it."""
    return [next(lines), *takewhile(lambda one: one.is_more, lines)]
