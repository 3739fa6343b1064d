"""The outermost layer of all requests: host check, path spelling, limits, request id and log.

Pure ASGI, so that streams and cancellation stay what they are.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livius.limits import body_limit
from livius.usecases.audit_throttle import ORIGIN, Origin

_REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")
_SLASHES: Final = re.compile("//+")
_LIVYAPI: Final = re.compile(
    r"^/v1/workspaces/([^/]+)/lakehouses/([^/]+)/livyapi/versions/([^/]+)/(\w+)", re.IGNORECASE
)
_LINK: Final = re.compile("^(/portal/in)/.*")
"""A one-time sign-in link, whose secret must not be logged."""
_COLLECTIONS: Final = {
    name.lower(): name for name in ("sessions", "batches", "highConcurrencySessions")
}

_LOOPBACK: Final = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LOOKING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FAILED: Final = 400
CLIENT_GONE: Final = 499
"""nginx's status for a request whose sender left before it was read. Nobody receives it."""
_NO_ROUTE: Final = "none"
_LONGEST_PATH: Final = 300

Observe = Callable[[str, str, int, float], None]
"""Called for each request: with method, path template, status and seconds."""

_log = structlog.get_logger("livius.api")


def request_id() -> str:
    """Return the id of the present request."""
    return _REQUEST_ID.get()


def plain_path(path: str) -> str:
    """Return a path in the spelling of the routes.

    Both ``livyApi`` and ``livyapi`` are in use, and a documented sample doubles a slash
    (Fabric contract 1.1).
    """
    path = _SLASHES.sub("/", path)
    if len(path) > 1:
        path = path.rstrip("/")
    return _LIVYAPI.sub(
        lambda found: (
            f"/v1/workspaces/{found[1]}/lakehouses/{found[2]}/livyapi/versions/{found[3]}/"
            + _COLLECTIONS.get(found[4].lower(), found[4])
        ),
        path,
    )


def _call_it_json(scope: Scope) -> None:
    """Read the body as JSON whatever its declared type: curl's -d declares a form."""
    others = [header for header in scope["headers"] if header[0] != b"content-type"]
    scope["headers"] = [*others, (b"content-type", b"application/json")]


def note_known(scope: Scope) -> None:
    """Mark the connection as having an authenticated request."""
    note = scope.get("state", {}).get("note_known")
    if note is not None:
        note()


def _note_caller(scope: Scope) -> None:
    if ORIGIN.get().caller is not None:
        note_known(scope)


def _is_ours(scope: Scope) -> bool:
    """Tell whether a request over plain http names this machine as its host.

    A browser that was directed here under another name (DNS rebinding) would let that name's pages
    read our responses. Names of loopback can't be intercepted; over https the certificate proves
    the name. A browser always names a host, an old probe may not.
    """
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if not hosts:
        return bool(scope.get("http_version") == "1.0")
    return len(hosts) == 1 and _LOOPBACK.fullmatch(hosts[0].lower()) is not None


async def _misdirected(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request that was meant for another host."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    text = (
        "This port answers under the names of this machine alone: localhost, 127.0.0.1 and [::1]. "
        "Use one of them, or the https address.\n"
    )
    await PlainTextResponse(text, status_code=421)(scope, receive, send)


def _address(scope: Scope) -> str | None:
    return scope["client"][0] if scope.get("client") else None


class Edge:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope["scheme"] in ("http", "ws") and not _is_ours(scope):
            await _misdirected(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        identity = str(uuid4())
        _REQUEST_ID.set(identity)
        ORIGIN.set(Origin(_address(scope), identity))
        scope["path"] = plain_path(scope["path"])
        if scope["path"].startswith("/v1/"):
            _call_it_json(scope)
        began = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-ms-request-id"] = headers["RequestId"] = identity
                headers["X-Content-Type-Options"] = "nosniff"
                # Responses have code and data, so caches may store only those that say so.
                headers.setdefault("Cache-Control", "no-store")
                _note_caller(scope)
            await send(message)

        try:
            await self._limited(scope, receive, send_with_id)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        """Count the request and log its caller, target, result and duration.

        Requests that change something or fail always get a line, polls only at the level debug.
        Strangers who connect and leave must not fill the log.
        """
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", _NO_ROUTE)
        self._observe(method, route, status, seconds)
        is_quiet = status == CLIENT_GONE or (method in _LOOKING and status < _FAILED)
        tell = _log.debug if is_quiet else _log.info
        caller = ORIGIN.get().caller
        tell(
            "request_handled",
            method=method,
            route=route,
            path=_LINK.sub(r"\1/…", scope["path"])[:_LONGEST_PATH],
            status=status,
            milliseconds=round(seconds * 1000, 1),
            caller=caller.oid if caller else None,
            caller_kind=caller.kind.value if caller else None,
            client=caller.client_id if caller else None,
            address=_address(scope),
        )

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that is too large, with or without a declared length."""
        declared = Headers(scope=scope).get("content-length", "0")
        expected = int(declared) if declared.isdecimal() else math.inf
        received = 0

        async def counted() -> Message:
            nonlocal received
            _note_caller(scope)
            limit = body_limit(scope)
            if expected <= limit:
                message = await receive()
                received += len(message.get("body", b""))
                if received <= limit:
                    return message
            # Raised where the application reads the body, so it leaves like any error.
            raise HTTPException(
                413,
                f"The body is larger than {limit // 1024} KiB. Put data into Files and read it.",
            )

        await self._app(scope, counted, send)
