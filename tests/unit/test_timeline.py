"""The timeline: to scale, bounded, without a gap."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from livius.portal.timeline import MOST_BARS, Span, timeline

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def span(start: float, end: float | None, name: str = "a") -> Span:
    return Span(
        name=name,
        tone="good",
        began=BEGAN + timedelta(seconds=start),
        ended=None if end is None else BEGAN + timedelta(seconds=end),
        tasks=1,
    )


def test_bars_stand_where_their_times_are() -> None:
    executors = [span(-3600, None, "driver"), span(2, 4), span(-20, -10, "gone before")]
    found = timeline(
        [span(0, 1), span(5, None), span(2.5, 5)], executors, now=BEGAN + timedelta(seconds=10)
    )
    assert found is not None
    assert (found.began, found.seconds, found.left_out) == (BEGAN, 10, 0)
    assert [(bar.start, bar.width, bar.seconds) for bar in found.stages] == [
        *((0, 10, 1), (25, 25, 2.5), (50, 50, None)),
    ]
    assert [(bar.start, bar.width) for bar in found.executors] == [(0, 100), (20, 20)]
    assert [(tick.at, tick.seconds, tick.anchor) for tick in found.ticks] == [
        *((0, 0, "start"), (50, 5, "middle"), (100, 10, "end")),
    ]


def test_without_stages_there_is_none_and_of_many_the_newest_are_shown() -> None:
    assert timeline([], [span(0, 1)], now=BEGAN) is None
    found = timeline([span(n, n + 1) for n in range(100)], [], now=BEGAN)
    assert found is not None
    assert (len(found.stages), found.left_out) == (MOST_BARS, 100 - MOST_BARS)
    assert found.stages[-1].after == MOST_BARS - 1


moments = st.floats(0, 10**7, allow_nan=False)


@given(st.lists(st.tuples(moments, st.none() | moments), min_size=1), moments)
def test_whatever_a_driver_states_every_bar_is_on_the_track(
    times: list[tuple[float, float | None]], now: float
) -> None:
    spans = [span(start, end) for start, end in times]
    found = timeline(spans, spans, now=BEGAN + timedelta(seconds=now))
    assert found is not None
    for bar in (*found.stages, *found.executors):
        assert bar.start >= 0
        assert bar.width > 0
        assert bar.start + bar.width <= 100.001
    assert 1 <= len(found.ticks) <= 6
