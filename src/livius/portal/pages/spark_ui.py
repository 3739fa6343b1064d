"""The Spark UI of a running session, through the gateway.

A driver runs its user's code, so its pages are untrusted: they are shown without an origin, so that
their scripts can't reach the portal. So they have no cookie either; their address has a key
instead, which is issued to this portal session and ends with it. Every request checks again whether
the caller may read the session. Only GET is passed on.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from livius.domain.errors import NotFound
from livius.domain.messages import Message
from livius.domain.portal_session import PortalSession
from livius.portal.pages.activity import BASE, find
from livius.portal.pages_base import ROOT, PageRequest, Portal, origin
from livius.usecases import monitoring

_BASE: Final = f"{ROOT}/spark-ui"
_MOST: Final = 1000
_CSP: Final = (
    "sandbox allow-scripts allow-popups; default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; script-src {here} 'unsafe-inline' 'unsafe-eval'; "
    "style-src {here} 'unsafe-inline'; img-src {here} data:; font-src {here} data:; "
    "connect-src {here}"
)


# Of no origin, pages have no storage, and Spark's scripts fail where they ask for it.
_STORAGE: Final = b"""<script>for (const name of ["localStorage", "sessionStorage"]) {
const kept = new Map();
Object.defineProperty(window, name, {value: {
getItem: key => kept.has(key) ? kept.get(key) : null,
setItem: (key, text) => { kept.set(key, `${text}`) },
removeItem: key => { kept.delete(key) }, clear: () => { kept.clear() }}});
}</script>"""


@dataclass(frozen=True, slots=True)
class _Grant:
    portal_session: PortalSession
    workspace: str
    session: str


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of the Spark UI."""
    grants: dict[str, _Grant] = {}

    async def enter(request: PageRequest) -> Response:
        """Issue a key for the session's pages to this portal session."""
        view = await find(request, whole=True)
        record = view.activity.session
        if len(grants) >= _MOST:
            del grants[next(iter(grants))]
        key = secrets.token_urlsafe(24)
        grants[key] = _Grant(request.portal_session, record.workspace, record.id)
        return request.go(f"{_BASE}/{key}/jobs/")

    async def show(request: Request) -> Response:
        """Pass one request on."""
        key = request.path_params["key"]
        grant = grants.get(key)
        if grant is None or not await portal.portal_sessions.goes_on(grant.portal_session):
            raise NotFound(
                "SparkUiClosed",
                Message("This view of the Spark UI is over. Open it from the activity."),
            )
        activity = await monitoring.own_activity(
            portal.context, grant.portal_session.caller, grant.workspace, grant.session
        )
        root = f"{_BASE}/{key}"
        path = request.path_params["path"]
        if request.scope["raw_path"].endswith(b"/"):
            # The edge removed it; Spark would redirect to the path with it for ever.
            path += "/"
        found = await monitoring.spark_ui(
            portal.context,
            activity,
            path,
            request.url.query,
            root=root,
        )
        headers = {
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            # Of no origin, the pages' own scripts come as strangers; the key is what counts.
            "Access-Control-Allow-Origin": "*",
            "Content-Security-Policy": _CSP.format(here=f"{origin(request)}{root}/"),
        }
        if found.leads_to is not None:
            return RedirectResponse(f"{root}{found.leads_to}", status_code=302, headers=headers)
        body = found.body
        if found.kind.startswith("text/html"):
            body = body.replace(b"<head>", b"<head>" + _STORAGE, 1)
        return Response(body, status_code=found.status, media_type=found.kind, headers=headers)

    async def preflight(_request: Request) -> Response:
        """Let the pages' scripts ask: they name themselves in a header, which browsers check."""
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Methods": "GET",
                "Access-Control-Allow-Headers": "X-Requested-With",
            },
        )

    return [
        Route(f"{_BASE}/{{key}}/{{path:path}}", preflight, methods=["OPTIONS"]),
        portal.get(f"{BASE}/spark-ui", enter),
        portal.public("/spark-ui/{key}/{path:path}", show),
    ]
