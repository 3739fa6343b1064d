"""A timeline of executors and stages, drawn to scale.

All of it is server-side: positions are percentages of a track's width, which an SVG takes without a
style, and each bar has its times as text beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from livius.portal.axis import NARROWEST, SHORTEST, Tick

MOST_BARS: Final = 30
"""Stages; the newest ones."""
_MOST_EXECUTORS: Final = 20
_MOST_TICKS: Final = 4
_STEPS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400),
)
"""Seconds between two ticks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something with a beginning; without an end it goes on. ``tone`` is that of a state."""

    name: str
    tone: str
    began: datetime
    ended: datetime | None
    tasks: int
    cores: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span on the track: where it is, in percent, and its times in seconds.

    ``after`` is from the beginning of the timeline, ``seconds`` its length; None: it goes on.
    """

    span: Span
    start: float
    width: float
    after: float
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The bars with their axis. ``left_out`` is how many older stages have no bar."""

    began: datetime
    seconds: float
    ticks: Sequence[Tick]
    executors: Sequence[Bar]
    stages: Sequence[Bar]
    left_out: int


def timeline(
    stages: Sequence[Span], executors: Sequence[Span], *, now: datetime
) -> Timeline | None:
    """Return the timeline of the newest stages; None without any."""
    shown = sorted(stages, key=lambda one: one.began)[-MOST_BARS:]
    if not shown:
        return None
    began = shown[0].began
    end = max(one.ended or now for one in shown)
    seconds = max((end - began).total_seconds(), SHORTEST)

    def bar(span: Span) -> Bar:
        first, last = max(span.began, began), min(span.ended or end, end)
        start = min(100 * (first - began).total_seconds() / seconds, 100 - NARROWEST)
        width = max(100 * (last - first).total_seconds() / seconds, NARROWEST)
        length = (span.ended - span.began).total_seconds() if span.ended else None
        return Bar(
            span=span,
            start=round(start, 3),
            width=round(min(width, 100 - start), 3),
            after=(span.began - began).total_seconds(),
            seconds=length,
        )

    present = [one for one in executors if one.began <= end and (one.ended or end) >= began]
    return Timeline(
        began=began,
        seconds=seconds,
        ticks=_ticks(seconds),
        executors=[bar(one) for one in present[:_MOST_EXECUTORS]],
        stages=[bar(one) for one in shown],
        left_out=len(stages) - len(shown),
    )


def _ticks(seconds: float) -> Sequence[Tick]:
    step = next((one for one in _STEPS if seconds / one <= _MOST_TICKS), seconds)
    moments = [step * number for number in range(int(seconds / step) + 1)]
    return [
        Tick(
            at=round(100 * moment / seconds, 3),
            seconds=moment,
            anchor="start" if not number else "end" if moment > 0.95 * seconds else "middle",
        )
        for number, moment in enumerate(moments)
    ]
