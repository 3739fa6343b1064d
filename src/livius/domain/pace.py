"""A rate limit: a token bucket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """``rate`` a second in the long run, and ``burst`` at once."""

    rate: float
    burst: float
    _left: float = 0.0
    _at: float | None = None

    def spend(self, cost: float, *, now: float) -> float:
        """Spend tokens; return how many seconds to wait before the next ones."""
        if self._at is None:
            self._left = self.burst
        else:
            self._left = min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        self._left -= cost
        return max(0.0, -self._left / self.rate)
