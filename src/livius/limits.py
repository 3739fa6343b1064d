"""The size limits of request bodies: routes set them, and the outermost layer enforces them."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

MAX_BODY_BYTES: Final = 256 * 1024
MAX_CODE_BYTES: Final = 16 * 1024 * 1024
"""For bodies that carry code, once the caller is known."""
_LIMIT: Final = "livius.body_limit"


def expect_code(scope: MutableMapping[str, Any]) -> None:
    """Let a request's body be as large as code may be."""
    scope[_LIMIT] = MAX_CODE_BYTES


def body_limit(scope: MutableMapping[str, Any]) -> int:
    """Return how many bytes a request's body may have."""
    return int(scope.get(_LIMIT, MAX_BODY_BYTES))
