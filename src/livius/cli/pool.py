"""The state of a pool of warm drivers in words, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CONDITIONS: Final[Mapping[str, str]] = {
    "filling": "one is starting",
    "waiting": "the next starts in a quiet moment",
    "no_memory": "memory is too short for more",
    "failing": "the last one ended by itself; another is tried soon",
    "given_up": "they ended by themselves again and again, so no more are started",
}


def pool_line(state: Mapping[str, Any]) -> str:
    """Return one line on a pool, as ``/readyz`` describes it."""
    if state["condition"] == "off":
        return "none: each session starts a driver of its own"
    line = f"{state['warm']} of {state['size']} warm"
    more = _CONDITIONS.get(state["condition"])
    return f"{line}; {more}" if more else line
