"""How fast somebody may go on."""

from livius.domain.pace import Pace


def test_a_burst_is_free_and_then_the_rate_holds() -> None:
    pace = Pace(rate=10, burst=5)
    assert [pace.spend(1, now=0.0) for _ in range(5)] == [0] * 5
    assert pace.spend(1, now=0.0) == 0.1
    assert pace.spend(1, now=0.1) == 0.1
    assert pace.spend(1, now=100.0) == 0
    assert [pace.spend(1, now=100.0) for _ in range(5)] == [0, 0, 0, 0, 0.1]
