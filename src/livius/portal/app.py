"""The portal as one application, for all paths below `portal.ROOT`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from livius.domain.messages import Message
from livius.portal.labels import N_
from livius.portal.pages import (
    access,
    activity,
    application,
    applications,
    configuration,
    console,
    environments,
    files,
    home,
    jobs,
    lakehouse,
    link,
    loads,
    logs,
    monitor,
    new_session,
    overview,
    preferences,
    repls,
    settings,
    signin,
    spark_settings,
    spark_ui,
    stages,
    statements,
    stop_many,
    tables,
    users,
    workspace_settings,
    workspaces,
)
from livius.portal.pages_base import ROOT, Entry, Portal

Page = Callable[[Portal], Sequence[Route]]

NAVIGATION: Final = (
    Entry("home", ROOT, "home", N_("Home"), "h"),
    Entry("workspaces", f"{ROOT}/workspaces", "workspaces", N_("Workspaces"), "w"),
    Entry("monitor", f"{ROOT}/monitor", "monitor", N_("Monitor"), "m"),
    Entry("settings", f"{ROOT}/settings", "settings", N_("Settings"), "s"),
)
PAGES: Final[tuple[Page, ...]] = (
    home.routes,
    signin.routes,
    link.routes,
    preferences.routes,
    monitor.routes,
    stop_many.routes,
    new_session.routes,
    statements.routes,
    repls.routes,
    console.routes,
    jobs.routes,
    stages.routes,
    logs.routes,
    configuration.routes,
    spark_ui.routes,
    activity.routes,
    overview.routes,
    settings.routes,
    workspaces.routes,
    access.routes,
    workspace_settings.routes,
    environments.routes,
    spark_settings.routes,
    applications.routes,
    application.routes,
    users.routes,
    lakehouse.routes,
    tables.routes,
    files.routes,
    loads.routes,
)

_CLIENT_GONE: Final = 499
_TOO_LARGE: Final = Message(
    "The request is larger than the server accepts, so nothing was done. Put data into Files and "
    "read it from there."
)

_log = structlog.get_logger(__name__)


def create_portal(portal: Portal) -> Starlette:
    """Return the application: all pages, and error pages."""
    routes = [route for page in PAGES for route in page(portal)]
    routes.append(Route(ROOT + "/static/{version}/{name}", portal.assets.serve, methods=["GET"]))

    async def on_http_error(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return portal.problem(
            request,
            status=error.status_code,
            message=_TOO_LARGE if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else "",
            portal_session=await portal.portal_sessions.find(
                request.cookies.get(portal.cookie), touch=False
            ),
        )

    async def on_client_gone(_request: Request, _error: Exception) -> Response:
        return Response(status_code=_CLIENT_GONE)

    async def on_bug(request: Request, error: Exception) -> Response:
        _log.error("page_failed", path=request.url.path, exc_info=error)
        return portal.problem(
            request,
            status=500,
            code="UnknownError",
            message=Message("The server's log has the details."),
        )

    return Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: on_http_error,
            ClientDisconnect: on_client_gone,
            Exception: on_bug,
        },
    )
