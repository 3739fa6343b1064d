"""The Spark UI of a session, through the gateway: its driver's, then the History Server's.

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
from livius.portal.events import PageVersion
from livius.portal.pages.activity import BASE, View, find
from livius.portal.pages_base import ROOT, Live, PageRequest, Portal, origin
from livius.ports.history import Opening
from livius.usecases import monitoring

_BASE: Final = f"{ROOT}/spark-ui"
_MOST: Final = 1000
_LOOK_EVERY: Final = 1.0
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
        """Issue a key for the session's pages to this portal session, once they can be read.

        With ``job``, the page of a Spark job is the first.
        """
        view = await find(request, whole=True)
        record = view.activity.session
        if await monitoring.begin_history(request.context, record) is Opening.STARTING:
            return _opening(request, view)
        if len(grants) >= _MOST:
            del grants[next(iter(grants))]
        key = secrets.token_urlsafe(24)
        grants[key] = _Grant(request.portal_session, record.workspace, record.id)
        job = request.asked("job")
        page = f"jobs/job/?id={job}" if job.isascii() and job.isdecimal() else "jobs/"
        return request.go(f"{_BASE}/{key}/{page}")

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
        path = request.path_params.get("path", "")
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
        portal.get(f"{BASE}/spark-ui/live", live, passive=True),
        Route(f"{_BASE}/{{key}}/{{path:path}}", preflight, methods=["OPTIONS"]),
        portal.get(f"{BASE}/spark-ui", enter),
        # The top, without the slash that the edge removes.
        portal.public("/spark-ui/{key}", show),
        portal.public("/spark-ui/{key}/{path:path}", show),
    ]


def _opening(request: PageRequest, view: View) -> Response:
    """Show that the History Server starts. The page goes on by itself."""
    if request.is_fragment:
        return Response(status_code=204)
    return request.page(
        "history_opening.html",
        title=view.activity.session.name,
        place="monitor",
        live=Live(f"{view.path}/spark-ui/live", _version(Opening.STARTING)),
        view=view,
    )


async def live(request: PageRequest) -> Response:
    """Stream how far the History Server is."""

    async def looker() -> PageVersion:
        await find(request, whole=True)
        return _version(monitoring.history_opening(request.context))

    return request.stream(looker)


def _version(opening: Opening) -> PageVersion:
    return PageVersion(versions={"history": opening.name}, beat=_LOOK_EVERY)
