"""Translates the core's errors into Fabric's error envelope (Fabric contract 7.8)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from livius.api.auth import MISSING
from livius.api.documented import Json
from livius.api.middleware import CLIENT_GONE, request_id
from livius.api.schemas import Detail, ErrorDocument
from livius.domain.errors import (
    Conflict,
    Exhausted,
    Forbidden,
    Invalid,
    LiviusError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from livius.domain.idempotency import KeyReused
from livius.domain.principal import Principal
from livius.usecases.audit_throttle import ORIGIN

_STATUS: Final[Mapping[type[LiviusError], int]] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Invalid: 400,
    KeyReused: 422,
    Conflict: 409,
    Exhausted: 430,  # Fabric's own status for a full capacity
    Unavailable: 503,
}
_TOO_LARGE: Final = 413
_CODE: Final = "x-ms-public-api-error-code"
_RETRIABLE: Final = (Exhausted, Unavailable)
_PLAIN: Final[Mapping[int, tuple[str, str]]] = {
    404: ("EndpointNotFound", "There is no such endpoint. Check the path and its ids."),
    405: ("MethodNotAllowed", "This endpoint does not know this method."),
}

_log = structlog.get_logger(__name__)


def envelope(
    status: int,
    code: str,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    details: list[Detail] | None = None,
    retriable: bool = False,
) -> Json[ErrorDocument]:
    """Return an error in Fabric's form. The log and the headers have its request id, too."""
    body: ErrorDocument = {
        "requestId": request_id(),
        "errorCode": code,
        "message": message,
        "isRetriable": retriable,
    }
    if details:
        body["moreDetails"] = details
    # Fabric's own command line reads the code there.
    return Json(body, status_code=status, headers={_CODE: code, **(headers or {})})


Refused = Callable[[str, LiviusError, Principal | None, str], Awaitable[None]]
"""Called for a refused request: with its kind, the error, the caller (if known), the workspace."""


def add_error_handlers(app: FastAPI, refused: Refused) -> None:
    """Return every error in the envelope."""

    async def on_livius_error(request: Request, error: Exception) -> Json[ErrorDocument]:
        if isinstance(error, Forbidden) or (
            isinstance(error, Unauthenticated) and error.code != MISSING
        ):
            route = getattr(request.scope.get("route"), "path", "")
            await refused(
                f"{request.method} {route}",
                error,
                ORIGIN.get().caller,
                request.path_params.get("workspace", ""),
            )
        return await _on_livius_error(request, error)

    app.add_exception_handler(LiviusError, on_livius_error)
    app.add_exception_handler(RequestValidationError, _on_wrong_type)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_client_gone)
    app.add_exception_handler(Exception, _on_bug)


async def _on_livius_error(_request: Request, error: Exception) -> Json[ErrorDocument]:
    if not isinstance(error, LiviusError):
        raise error
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, _RETRIABLE) and error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    details: list[Detail] | None = None
    if isinstance(error, Invalid) and error.field is not None:
        details = [{"errorCode": error.code, "message": f"The field is {error.field}."}]
    return envelope(
        status,
        error.code,
        error.message,
        headers=headers,
        details=details,
        retriable=isinstance(error, _RETRIABLE),
    )


async def _on_wrong_type(_request: Request, error: Exception) -> Json[ErrorDocument]:
    """Name each wrong field, and its rule."""
    if not isinstance(error, RequestValidationError):
        raise error
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return envelope(400, "CorruptedPayload", "The body is not valid JSON.")
    details: list[Detail] = [
        {"errorCode": "InvalidInput", "message": f"{_field(one['loc'])}: {one['msg']}"}
        for one in found[:20]
    ]
    return envelope(400, "InvalidInput", f"{details[0]['message']}.", details=details)


def _field(location: tuple[str | int, ...]) -> str:
    """Name a field as the caller wrote it, or the body if that itself is wrong."""
    inner = [str(part) for part in location if part not in ("body", "query", "path")]
    return ".".join(inner) or "The body"


async def _on_http_error(_request: Request, error: Exception) -> Json[ErrorDocument]:
    if not isinstance(error, HTTPException):
        raise error
    code = "RequestTooLarge" if error.status_code == _TOO_LARGE else "InvalidRequest"
    code, message = _PLAIN.get(error.status_code, (code, str(error.detail)))
    return envelope(error.status_code, code, message, headers=error.headers)


async def _on_client_gone(_request: Request, _error: Exception) -> Response:
    """The request of a caller that has left ends."""
    return Response(status_code=CLIENT_GONE)


async def _on_bug(request: Request, error: Exception) -> Json[ErrorDocument]:
    _log.error("request_failed", path=request.url.path, exc_info=error)
    return envelope(
        500,
        "UnknownError",
        "The server failed to handle the request. Its log has the details under the request id.",
    )
