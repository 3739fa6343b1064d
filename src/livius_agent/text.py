"""Texts: UTF-8 whose end may be anywhere, and texts that are cut to a size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

_LEADS: Final = ((0xF0, 4), (0xE0, 3), (0xC0, 2))
"""From which first byte on a character has how many bytes; the largest first."""

_LONGEST: Final = 6
"""Bytes that JSON takes for a character, at most."""


def whole_characters(data: bytes) -> int:
    """Return how many bytes are left without a character that the end of the data cuts."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:  # noqa: PLR2004 - no continuation: here a character begins
            length = next((size for lead, size in _LEADS if byte >= lead), 1)
            return len(data) if back >= length else len(data) - back
    return len(data)


def json_bytes(value: Any) -> bytes:
    """Return a JSON value as bytes, lone halves of characters replaced.

    Raises:
        ValueError: it holds NaN or Infinity.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", errors="replace"
    )


def cut(text: str, most: int) -> str:
    """Return the beginning of a text that takes about so many bytes as JSON; it says so."""
    if len(text) * _LONGEST <= most or len(json_bytes(text)) <= most:
        return text
    kept = text[: max(0, most)]
    while kept and (size := len(json_bytes(kept))) > most:
        kept = kept[: len(kept) * most // (size + 1)]
    return f"{kept}\n[{len(text) - len(kept)} more characters]\n"


def tail(lines: Sequence[str], most: int) -> tuple[str, ...]:
    """Return the last lines that take about so many bytes as JSON; a line of it tells the rest.

    A line that takes half of it alone is cut.
    """
    kept: list[str] = []
    longest = most // 2
    for line in reversed(lines):
        shown = cut(line, longest)
        most -= len(json_bytes(shown))
        if most < 0:
            kept.append(f"[{len(lines) - len(kept)} lines before]\n")
            break
        kept.append(shown)
    return tuple(reversed(kept))
