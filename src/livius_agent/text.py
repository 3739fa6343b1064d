"""UTF-8 whose end may be anywhere."""

from __future__ import annotations

from typing import Final

_LEADS: Final = ((0xF0, 4), (0xE0, 3), (0xC0, 2))
"""From which first byte on a character has how many bytes; the largest first."""


def whole_characters(data: bytes) -> int:
    """Return how many bytes are left without a character that the end of the data cuts."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:  # noqa: PLR2004 - no continuation: here a character begins
            length = next((size for lead, size in _LEADS if byte >= lead), 1)
            return len(data) if back >= length else len(data) - back
    return len(data)
