"""Waiting for a condition, with a deadline, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_for(
    look: Callable[[], Value | None], *, seconds: float, what: str, every: float = 0.02
) -> Value:
    """Return the first true answer; fail with a sentence when there is none in time.

    Costly looks are rarer: they leave the processor to the process that they wait for.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.thread_time()
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} seconds: {what}")
        time.sleep(max(every, 10 * (time.thread_time() - began)))
