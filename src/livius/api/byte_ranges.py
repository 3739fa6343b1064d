"""Parts of a body by their bytes (RFC 9110, section 14).

The framework has this for files alone, and a statement's text may be in a record, or still growing.
One range is served. The RFC lets a server ignore a header with several ranges or another unit: the
response then has the whole body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException

_ONE: Final = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of a body from ``start`` up to ``end``; the response's status and headers."""

    start: int
    end: int
    status: int
    headers: Mapping[str, str]


def requested_part(headers: Mapping[str, str], size: int, etag: str | None) -> Part:
    """Return the part of a body with ``size`` bytes that a request is for.

    Raises:
        HTTPException: 416, the range begins at the body's end or beyond.
    """
    common = {"Accept-Ranges": "bytes"} | ({} if etag is None else {"ETag": etag})
    whole = Part(0, size, 200, {**common, "Content-Length": str(size)})
    asked = _ONE.fullmatch(headers.get("range", ""))
    condition = headers.get("if-range")
    if asked is None or not (asked[1] or asked[2]) or (condition and condition != etag):
        return whole
    if asked[1]:
        start, end = int(asked[1]), min(size, int(asked[2]) + 1) if asked[2] else size
        if asked[2] and int(asked[2]) < start:
            return whole  # no range at all
    else:
        start, end = size - min(size, int(asked[2])), size
    if start >= size:
        raise HTTPException(
            416,
            f"The range begins beyond the end: there are {size} bytes now.",
            headers={**common, "Content-Range": f"bytes */{size}"},
        )
    content_range = {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
    return Part(start, end, 206, {**common, **content_range, "Content-Length": str(end - start)})
