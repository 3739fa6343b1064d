"""A session's life on one axis: its start, its statements, idle time and its end.

Time is to scale where something happens. Idle time is to scale too as long as it takes little room;
more of it is folded, and marked as such. Statements that would be narrower than a pixel beside each
other are one bar, so the number of bars is bounded whatever a session did.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, groupby, pairwise
from typing import Final

from livius.domain.ids import ReplId, StatementNumber
from livius.domain.outline import StatementMark
from livius.domain.statement import FINAL, Phase
from livius.portal.axis import NARROWEST, SHORTEST, Interval, Tick, union

MOST_BARS: Final = 300
MOST_LANES: Final = 8
"""Of a shared session: the repls whose statements began last."""
_FOLDED: Final = (0.2, 0.6)
"""The room of one idle time and of all, as shares of the time in which something happens."""
_WIDENED: Final = (0.008, 0.4)
"""The same of pieces that would be too narrow to be seen."""
_BETWEEN_TICKS: Final = 18.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of the axis: its place in percent, its time in seconds from the beginning."""

    start: float
    width: float
    after: float
    seconds: float
    label: str = ""
    is_folded: bool = False

    @property
    def middle(self) -> float:
        """Return the place of its label."""
        return round(self.start + self.width / 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A statement, or several that are too close to tell apart: ``first`` to ``last``.

    ``seconds`` is None while it runs. ``tone`` is that of the most remarkable of them.
    """

    repl: ReplId
    first: StatementNumber
    last: StatementNumber
    count: int
    failed: int
    cancelled: int
    rows: int | None
    tone: str
    start: float
    width: float
    after: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Lane:
    """The statements of one repl, in the order of their start."""

    repl: ReplId
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimeline:
    """The whole. ``busy`` is the time in seconds in which code ran in any repl.

    ``idle`` are the times in which nothing happened that are wide enough to be seen. ``left_out``
    is how many more repls ran statements.
    """

    seconds: float
    busy: float
    starting: Sequence[Piece]
    stopping: Piece | None
    idle: Sequence[Piece]
    lanes: Sequence[Lane]
    ticks: Sequence[Tick]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A session's moments; None: not yet. ``until`` is its end, else the present.

    ``starts`` are the phases of its start with their labels, the first of which is its beginning.
    """

    starts: Sequence[tuple[str, datetime]]
    ready: datetime | None
    stopping: datetime | None
    until: datetime

    @property
    def began(self) -> datetime:
        """Return its beginning."""
        return self.starts[0][1]


def session_timeline(marks: Iterable[StatementMark], life: Life) -> SessionTimeline:
    """Return the timeline of a session with these statements; those that wait have no bar."""
    length = max((life.until - life.began).total_seconds(), SHORTEST)

    def place(moment: datetime | None) -> float:
        """Return a moment in seconds from the beginning, within the session's life."""
        if moment is None:
            return length
        return min(max((moment - life.began).total_seconds(), 0.0), length)

    spans: dict[ReplId, list[tuple[StatementMark, Interval]]] = defaultdict(list)
    for mark in marks:
        if mark.started_at is not None:
            begin = place(mark.started_at)
            spans[mark.repl].append((mark, (begin, max(begin, place(mark.ended_at)))))
    ran = [interval for lane in spans.values() for _mark, interval in lane]
    started = place(life.ready or life.stopping)
    steps = [min(place(moment), started) for _label, moment in life.starts]
    starting = list(pairwise([*steps, started]))
    stopping = (place(life.stopping), length) if life.stopping is not None else None
    scale = _Scale([*ran, *starting, *([stopping] if stopping else [])], length)
    lanes = _lanes(spans, scale)
    return SessionTimeline(
        seconds=length,
        busy=sum(end - begin for begin, end in union(ran)),
        starting=[
            scale.piece(*interval, label=label)
            for interval, (label, _moment) in zip(starting, life.starts, strict=True)
        ],
        stopping=scale.piece(*stopping) if stopping else None,
        idle=[one for one in scale.idle if one.width >= NARROWEST],
        lanes=lanes,
        ticks=_ticks(scale, [started, *(one.after for one in scale.idle)], length),
        left_out=len(spans) - len(lanes),
    )


class _Scale:
    """Which percent of the axis a moment is at: linear between edges, and never decreasing."""

    def __init__(self, busy: Sequence[Interval], length: float) -> None:
        edges = sorted({0.0, length, *(edge for interval in busy for edge in interval)})
        pieces = list(pairwise(edges))
        merged = union(busy)
        begins = [begin for begin, _end in merged]

        def is_busy(begin: float) -> bool:
            at = bisect_right(begins, begin) - 1
            return at >= 0 and begin < merged[at][1]

        kinds = [is_busy(begin) for begin, _end in pieces]
        unit = sum(end - begin for begin, end in merged) or length
        count = sum(kinds)
        least = unit * min(_WIDENED[0], _WIDENED[1] / max(count, 1))
        most = unit * min(_FOLDED[0], _FOLDED[1] / max(len(kinds) - count, 1))
        widths = [
            max(end - begin, least) if busy else min(end - begin, most)
            for (begin, end), busy in zip(pieces, kinds, strict=True)
        ]
        total = sum(widths)
        self._edges = edges
        self._places = [100 * width / total for width in accumulate(widths, initial=0.0)]
        self.idle = [
            self.piece(begin, end, is_folded=end - begin > most)
            for (begin, end), busy in zip(pieces, kinds, strict=True)
            if not busy
        ]

    def at(self, seconds: float) -> float:
        """Return the place of a moment, in percent."""
        edges, places = self._edges, self._places
        left = min(bisect_right(edges, seconds) - 1, len(edges) - 2)
        share = (seconds - edges[left]) / (edges[left + 1] - edges[left])
        return min(places[left] + share * (places[left + 1] - places[left]), 100.0)

    def piece(self, begin: float, end: float, *, label: str = "", is_folded: bool = False) -> Piece:
        """Return a stretch of the axis."""
        start = self.at(begin)
        return Piece(
            start=round(start, 3),
            width=round(self.at(end) - start, 3),
            after=begin,
            seconds=end - begin,
            label=label,
            is_folded=is_folded,
        )


def _lanes(
    spans: Mapping[ReplId, Sequence[tuple[StatementMark, Interval]]], scale: _Scale
) -> Sequence[Lane]:
    last = sorted(spans, key=lambda repl: spans[repl][-1][1])[-MOST_LANES:]
    # In the order of their first statements, as their numbers are.
    shown = sorted(last, key=lambda repl: (spans[repl][0][1], repl))
    slot = 100 / (MOST_BARS // max(len(shown), 1) - 1)
    return [Lane(repl, _bars(spans[repl], scale, slot)) for repl in shown]


def _bars(
    spans: Sequence[tuple[StatementMark, Interval]], scale: _Scale, slot: float
) -> Sequence[Bar]:
    ordered = sorted(spans, key=lambda one: (one[1], one[0].number))
    group, began = 0, float("-inf")
    groups = []
    for _mark, (begin, _end) in ordered:
        if (at := scale.at(begin)) >= began + slot:
            group, began = group + 1, at
        groups.append(group)
    numbered = zip(groups, ordered, strict=True)
    return [
        _bar([span for _group, span in found], scale)
        for _group, found in groupby(numbered, key=lambda one: one[0])
    ]


def _bar(spans: Sequence[tuple[StatementMark, Interval]], scale: _Scale) -> Bar:
    marks = [mark for mark, _interval in spans]
    begin, end = spans[0][1][0], max(interval[1] for _mark, interval in spans)
    width = max(scale.at(end) - scale.at(begin), NARROWEST)
    start = min(scale.at(begin), 100 - width)
    failed = sum(mark.has_failed for mark in marks)
    cancelled = sum(mark.phase is Phase.CANCELLED for mark in marks)
    is_running = any(mark.phase not in FINAL for mark in marks)
    return Bar(
        repl=marks[0].repl,
        first=min(mark.number for mark in marks),
        last=max(mark.number for mark in marks),
        count=len(marks),
        failed=failed,
        cancelled=cancelled,
        rows=marks[0].rows if len(marks) == 1 else None,
        tone="bad" if failed else "still" if cancelled else "busy" if is_running else "good",
        start=round(start, 3),
        width=round(width, 3),
        after=begin,
        seconds=None if is_running else end - begin,
    )


def _ticks(scale: _Scale, moments: Sequence[float], length: float) -> Sequence[Tick]:
    """Return the ends of the axis, and what begins between them as far as there is room."""
    found = [Tick(at=0.0, seconds=0.0, anchor="start")]
    for moment in sorted(moments):
        at = round(scale.at(moment), 3)
        if found[-1].at + _BETWEEN_TICKS <= at <= 100 - _BETWEEN_TICKS:
            found.append(Tick(at=at, seconds=moment, anchor="middle"))
    return [*found, Tick(at=100.0, seconds=length, anchor="end")]
