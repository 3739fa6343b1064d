"""What timelines have alike: stretches of time, an axis's marks, the least that can be seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

NARROWEST: Final = 0.3
"""Percent: what is too short to be seen is a line."""
SHORTEST: Final = 0.001
"""Seconds: the least length of an axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark of the axis. ``anchor`` is the SVG's word for the place of its text."""

    at: float
    seconds: float
    anchor: str


Interval = tuple[float, float]
"""A stretch of time: its beginning and its end, in seconds."""


def union(intervals: Iterable[Interval]) -> Sequence[Interval]:
    """Return the stretches of time that any of the intervals covers."""
    found: list[Interval] = []
    for begin, end in sorted(intervals):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found
