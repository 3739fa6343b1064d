"""The authority's responses: errors have Entra's form, and no cache may store them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from fastapi import Request
from fastapi.responses import JSONResponse

from livius.usecases.identity.authority import TokenRefused

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_STATUS: Final[Mapping[str, int]] = {
    "invalid_client": 401,
    "temporarily_unavailable": 429,
    "server_busy": 503,
}
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def reply(content: Mapping[str, Any]) -> JSONResponse:
    """Return a success."""
    return JSONResponse(content, headers=NO_STORE)


def refusal(request: Request, refused: TokenRefused, *, at: datetime) -> JSONResponse:
    """Return an error as Entra writes it, under the caller's own correlation id."""
    trace, correlation = str(uuid4()), _correlation(request)
    timestamp = f"{at:%Y-%m-%d %H:%M:%SZ}"
    content = {
        "error": refused.error,
        "error_description": (
            f"{refused.code}: {refused.message} Trace ID: {trace} "
            f"Correlation ID: {correlation} Timestamp: {timestamp}"
        ),
        "error_codes": [refused.number],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
    }
    if refused.suberror is not None:
        content["suberror"] = refused.suberror
    return JSONResponse(
        content, status_code=status_of(refused), headers={**NO_STORE, **retry_after(refused)}
    )


def status_of(refused: TokenRefused) -> int:
    """Return the HTTP status of a refusal."""
    return _STATUS.get(refused.error, 400)


def retry_after(refused: TokenRefused) -> Mapping[str, str]:
    """Return the Retry-After header, if a retry can help."""
    if refused.retry_after is None:
        return {}
    return {"Retry-After": str(int(refused.retry_after.total_seconds()))}


def _correlation(request: Request) -> str:
    asked = request.headers.get("client-request-id", "")
    return asked if _GUID.fullmatch(asked) else str(uuid4())
