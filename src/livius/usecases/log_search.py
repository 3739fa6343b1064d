"""Searches a driver's log of any length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from livius.domain.activity import Activity
from livius.usecases.context import Context

_CHUNK: Final = 4 * 1024 * 1024
_LONGEST_LINE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A line with the text. It begins at ``offset``, in bytes."""

    offset: int
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The first lines with the text; ``is_cut`` if there may be more."""

    found: Sequence[Match]
    is_cut: bool


async def search_driver_log(
    context: Context, activity: Activity, name: str, text: str, *, most: int
) -> Matches:
    """Return up to ``most`` lines of a log with the text; the case of ASCII doesn't matter.

    It reads the log in pieces: memory does not grow with its length. Long lines are cut.
    The activity comes from `livius.usecases.monitoring.own_activity`.
    """
    needle = text.encode("utf-8", "replace").lower()
    found: list[Match] = []
    offset, rest = 0, b""
    while needle:
        piece = await context.logs.read(activity.session.driver, name, offset=offset, size=_CHUNK)
        begin = offset - len(rest)
        block = rest + piece
        end = block.rfind(b"\n") + 1 if piece else len(block)
        if not end and len(block) > _CHUNK:
            # A line without an end is searched in pieces, too.
            end = len(block)
        lowered = block[:end].lower()
        at = lowered.find(needle)
        while at >= 0:
            if len(found) >= most:
                return Matches(found=found, is_cut=True)
            start = lowered.rfind(b"\n", 0, at) + 1
            stop = lowered.find(b"\n", at)
            stop = len(lowered) if stop < 0 else stop
            line = block[start : min(stop, start + _LONGEST_LINE)]
            found.append(Match(offset=begin + start, line=line.decode("utf-8", "replace")))
            at = lowered.find(needle, stop)
        rest = block[end:]
        offset += len(piece)
        if not piece:
            break
    return Matches(found=found, is_cut=False)
