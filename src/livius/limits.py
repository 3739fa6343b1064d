"""The size limits of request bodies: routes set them, and the outermost layer enforces them."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

MAX_BODY_BYTES: Final = 256 * 1024
MAX_CODE_BYTES: Final = 16 * 1024 * 1024
"""For bodies that carry code, once the caller is known."""
MAX_UPLOAD_BYTES: Final = 5 * 1024**3
"""For a file that is stored piece by piece, once the caller is known."""
MAX_LIBRARY_BYTES: Final = 101 * 1024 * 1024
"""For an uploaded library, once the caller is known; the core's own limit is a little lower."""
_LIMIT: Final = "livius.body_limit"


def expect_code(scope: MutableMapping[str, Any]) -> None:
    """Let a request's body be as large as code may be."""
    scope[_LIMIT] = MAX_CODE_BYTES


def expect_upload(scope: MutableMapping[str, Any]) -> None:
    """Let a request's body be as large as an uploaded file may be."""
    scope[_LIMIT] = MAX_UPLOAD_BYTES


def expect_library(scope: MutableMapping[str, Any]) -> None:
    """Let a request's body be as large as a library may be."""
    scope[_LIMIT] = MAX_LIBRARY_BYTES


def body_limit(scope: MutableMapping[str, Any]) -> int:
    """Return how many bytes a request's body may have."""
    return int(scope.get(_LIMIT, MAX_BODY_BYTES))
