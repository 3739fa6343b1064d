"""The timeline of a session: in order, within its bounds, and of bounded size."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livius.domain.ids import ReplId, StatementNumber
from livius.domain.outline import Run, StatementMark
from livius.domain.statement import Phase
from livius.portal.busy_line import busy_line
from livius.portal.session_timeline import (
    MOST_BARS,
    MOST_LANES,
    Life,
    SessionTimeline,
    session_timeline,
)

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def mark(
    number: int,
    start: float | None,
    end: float | None,
    *,
    phase: Phase = Phase.AVAILABLE,
    ok: bool | None = True,
    repl: str = "a",
) -> StatementMark:
    return StatementMark(
        repl=ReplId(repl),
        number=StatementNumber(number),
        phase=phase,
        started_at=None if start is None else at(start),
        ended_at=None if end is None else at(end),
        ok=ok,
        rows=3,
    )


def life(ready: float | None = 10, until: float = 100, stopping: float | None = None) -> Life:
    return Life(
        starts=(("Submitted", BEGAN), ("Driver launched", at(4))),
        ready=None if ready is None else at(ready),
        stopping=None if stopping is None else at(stopping),
        until=at(until),
    )


def test_the_line_of_a_row_has_the_share_of_each_part_in_which_code_ran() -> None:
    runs = [Run(at(0), at(1)), Run(at(2), at(7)), Run(at(6), at(7.9)), Run(at(95.9), None)]
    found = busy_line(runs, began=BEGAN, ended=at(96))
    assert (found.statements, found.seconds) == (4, 96)
    assert found.busy == pytest.approx(7.0)
    assert found.shares == {0: 0.75, 1: 0.975, 23: 0.025}
    nothing = busy_line([Run(BEGAN, BEGAN)], began=BEGAN, ended=BEGAN)
    assert nothing.shares == {0: 0.0}


def test_what_happens_is_to_scale_and_long_idle_time_is_folded() -> None:
    found = session_timeline([mark(0, 10, 20), mark(1, 70, 100)], life())
    assert (found.seconds, found.busy) == (100, 40)
    assert [(one.label, one.after, one.seconds) for one in found.starting] == [
        *(("Submitted", 0, 4), ("Driver launched", 4, 6)),
    ]
    first, second = found.lanes[0].bars
    assert second.width == pytest.approx(3 * first.width, abs=0.01)
    assert sum(one.width for one in found.starting) == pytest.approx(first.width, abs=0.01)
    [idle] = found.idle
    assert (idle.after, idle.seconds, idle.is_folded) == (20, 50, True)
    assert idle.width == pytest.approx(first.width, abs=0.01)  # a fifth of what is busy, at most
    assert (first.after, first.seconds, first.rows) == (10, 10, 3)
    assert round(second.start + second.width, 2) == 100
    ticks = [(tick.seconds, tick.anchor) for tick in found.ticks]
    assert ticks == [(0, "start"), (20, "middle"), (100, "end")]


def test_short_idle_time_is_to_scale() -> None:
    [idle] = session_timeline([mark(0, 10, 54), mark(1, 60, 100)], life()).idle
    assert (idle.seconds, idle.width, idle.is_folded) == (6, 6, False)


def test_a_session_without_statements_has_its_start_alone() -> None:
    found = session_timeline([mark(0, None, None, phase=Phase.WAITING, ok=None)], life(None, 7))
    assert (found.lanes, found.idle, found.busy) == ([], [], 0)
    assert sum(one.width for one in found.starting) == pytest.approx(100)


def test_the_tone_is_that_of_the_most_remarkable_statement() -> None:
    tones = [
        session_timeline([one], life()).lanes[0].bars[0].tone
        for one in (
            mark(0, 10, 20),
            mark(0, 10, 20, ok=False),
            mark(0, 10, 20, ok=False, phase=Phase.CANCELLED),
            mark(0, 10, None, ok=None, phase=Phase.RUNNING),
        )
    ]
    assert tones == ["good", "bad", "still", "busy"]
    running = session_timeline([mark(0, 10, None, ok=None, phase=Phase.RUNNING)], life())
    assert running.lanes[0].bars[0].seconds is None


def test_a_thousand_statements_are_few_bars_that_count_them() -> None:
    marks = [mark(n, 10 + n, 10.4 + n, ok=n % 100 != 7) for n in range(1000)]
    found = session_timeline(marks, life(until=1100, stopping=1090))
    [lane] = found.lanes
    assert len(lane.bars) <= MOST_BARS
    assert sum(bar.count for bar in lane.bars) == 1000
    assert sum(bar.failed for bar in lane.bars) == 10
    assert (lane.bars[0].first, lane.bars[-1].last) == (0, 999)
    assert found.stopping is not None
    assert found.stopping.seconds == 10


def test_twenty_short_statements_are_twenty_bars() -> None:
    marks = [mark(n, 10 + 30 * n, 10.01 + 30 * n) for n in range(20)]
    found = session_timeline(marks, life(until=2000))
    assert [bar.count for bar in found.lanes[0].bars] == [1] * 20


def test_repls_have_lanes_as_far_as_there_is_room() -> None:
    marks = [mark(0, 10 + n, 12 + n, repl=f"{n:02}") for n in range(MOST_LANES + 3)]
    found = session_timeline(marks, life())
    assert [lane.repl for lane in found.lanes] == [f"{n:02}" for n in range(3, MOST_LANES + 3)]
    assert found.left_out == 3


moments = st.floats(-(10.0**3), 10.0**7, allow_nan=False)
some_marks = st.lists(
    st.builds(
        mark,
        st.integers(0, 10**6),
        st.none() | moments,
        st.none() | moments,
        phase=st.sampled_from(Phase),
        ok=st.none() | st.booleans(),
        repl=st.sampled_from("abcdefghijklm"),
    ),
    max_size=600,
)


@given(some_marks, st.none() | moments, moments, st.none() | moments)
def test_whatever_the_times_are_bars_are_within_bounds_in_order_and_few(
    marks: list[StatementMark], ready: float | None, until: float, stopping: float | None
) -> None:
    found = session_timeline(marks, life(ready, until, stopping))
    assert 0 <= found.busy <= found.seconds + 1e-6
    assert sum(len(lane.bars) for lane in found.lanes) <= MOST_BARS
    for lane in found.lanes:
        begun = sum(one.repl == lane.repl and one.started_at is not None for one in marks)
        assert sum(bar.count for bar in lane.bars) == begun
        for bar in lane.bars:
            assert bar.start >= 0
            assert bar.width > 0
            assert bar.start + bar.width <= 100.001
        for one, following in pairwise(lane.bars):
            assert (one.start, one.after) <= (following.start, following.after)
    assert_axis(found)


def assert_axis(found: SessionTimeline) -> None:
    for piece in (*found.starting, *found.idle, *([found.stopping] if found.stopping else [])):
        assert piece.width >= 0
        assert 0 <= piece.start <= piece.start + piece.width <= 100.01
    assert [found.ticks[0].at, found.ticks[-1].at] == [0, 100]
    assert all(one.at + 18 <= other.at for one, other in pairwise(found.ticks[:-1]))
