"""New sessions: a console on a lakehouse or a table, and an ended session once more."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Route

from livius.portal.pages import activity, lakehouse
from livius.portal.pages_base import PageRequest, Portal
from livius.usecases import sessions
from livius.usecases.sessions import CreateSession, same_again


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of new sessions."""
    return [
        portal.post(f"{lakehouse.BASE}/sessions", open_console),
        portal.post(f"{activity.BASE}/again", start_again),
    ]


async def open_console(request: PageRequest) -> Response:
    """Create a session in a lakehouse; with ``table``, its console has a query of that table."""
    now = request.context.clock.now()
    wanted = CreateSession(name=request.tr("Console, %(time)s UTC", time=f"{now:%H:%M:%S}"))
    return await _create(
        request, request.path("lakehouse"), wanted, draft_table=request.sent("table") or None
    )


async def start_again(request: PageRequest) -> Response:
    """Create a session with the name and conf of an earlier one."""
    record = (await activity.find(request, whole=True)).activity.session
    return await _create(request, record.lakehouse, await same_again(request.context, record))


async def _create(
    request: PageRequest, where: str, wanted: CreateSession, draft_table: str | None = None
) -> Response:
    made = await sessions.create_session(
        request.context, request.caller, request.path("workspace"), where, wanted
    )
    return request.go(activity.console_path(made.session, draft_table))
