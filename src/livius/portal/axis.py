"""What timelines have alike: the marks of their axis, and the least that can be seen."""

from __future__ import annotations

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
