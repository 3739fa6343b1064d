"""Samples, and their summary."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Sample:
    """One quantity, as measured again and again, in its unit."""

    unit: str = "ms"
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def row(self) -> str:
        """The table's cells: n, median, p95, min-max."""
        ordered = sorted(self.values)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        return (
            f"{len(ordered)} | {self.median:.1f} | {p95:.1f} | "
            f"{ordered[0]:.1f}-{ordered[-1]:.1f} {self.unit}"
        )


class Results(dict[str, Sample]):
    """All samples of a run, by name, in the order in which they came first."""

    def add(self, name: str, value: float, unit: str = "ms") -> None:
        """Note one value."""
        self.setdefault(name, Sample(unit)).values.append(value)

    def time(self, name: str, work: Callable[[], object]) -> None:
        """Do the work and note how many milliseconds it took."""
        start = time.perf_counter()
        work()
        self.add(name, (time.perf_counter() - start) * 1000)
