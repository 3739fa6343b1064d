"""The cores and memory of drivers on this machine."""

from __future__ import annotations

import os
import re

from livius.domain.spark_pool import mebibytes


def local_cores(master: str) -> int | None:
    """Return how many cores a local master uses; None where Spark runs elsewhere."""
    found = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\d+)?\])?", master)
    if found is None:
        return None
    if found[1] == "*":
        return len(os.sched_getaffinity(0))
    return int(found[1] or 1)


def bounded_master(master: str, cores: int | None) -> str:
    """Return a local master with at most so many cores; another master as it is."""
    own = local_cores(master)
    if cores is None or own is None or cores >= own:
        return master
    return f"local[{cores}]"


def bounded_heap(heap: str, memory_mb: int | None) -> str:
    """Return a heap of at most so many MiB, as Java writes it."""
    if memory_mb is None or memory_mb >= mebibytes(heap):
        return heap
    return f"{memory_mb}m"
