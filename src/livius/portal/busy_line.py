"""When a session ran code: a line of small bars for its row in a list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from livius.domain.outline import Run
from livius.portal.axis import SHORTEST, union

BARS: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class BusyLine:
    """A session's life in ``BARS`` equal parts.

    ``shares`` has the parts in which code ran, by number, with the share of each that it took.
    ``busy`` and ``seconds`` are the time in which code ran, and all.
    """

    statements: int
    busy: float
    seconds: float
    shares: Mapping[int, float]


def busy_line(runs: Sequence[Run], *, began: datetime, ended: datetime) -> BusyLine:
    """Return the line of a session that ran these statements."""
    length = max((ended - began).total_seconds(), SHORTEST)
    part = length / BARS

    def place(moment: datetime) -> float:
        return min(max((moment - began).total_seconds(), 0.0), length)

    busy = union((place(run.started_at), place(run.ended_at or ended)) for run in runs)
    shares: dict[int, float] = defaultdict(float)
    for begin, end in busy:
        first, last = (min(int(moment / part), BARS - 1) for moment in (begin, end))
        for number in range(first, last + 1):
            covered = min(end, (number + 1) * part) - max(begin, number * part)
            shares[number] += covered / part
    return BusyLine(
        statements=len(runs),
        busy=sum(end - begin for begin, end in busy),
        seconds=length,
        shares={number: round(min(share, 1.0), 3) for number, share in shares.items()},
    )
