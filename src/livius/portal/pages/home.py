"""The first page: the next useful step, and recent activities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import ActivityState
from livius.portal.events import PageVersion
from livius.portal.pages.monitor import look_at, row_of
from livius.portal.pages_base import ROOT, Live, PageRequest, Portal
from livius.ports.notifications import AnySessionChanged
from livius.usecases import catalog, monitoring
from livius.usecases.monitoring import Wanted

_RECENT: Final = 5
_LIVE: Final = frozenset({ActivityState.WAITING, ActivityState.RUNNING, ActivityState.STOPPING})


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of the first page."""
    return [portal.get("", home), portal.get("/live", live, passive=True)]


async def home(request: PageRequest) -> Response:
    """Show recent activities or, in an empty installation, the first step."""
    look = await _look(request)
    context, caller = request.context, request.caller
    workspaces = await catalog.list_workspaces(context, caller)
    lakehouses = [
        (workspace, lakehouse)
        for workspace, _role in workspaces
        for lakehouse in await catalog.list_lakehouses(context, caller, workspace.id)
    ]
    page = await monitoring.list_all_activities(context, caller, Wanted(), limit=_RECENT)
    return request.page(
        "home.html",
        title=request.tr("Home"),
        place="home",
        live=Live(f"{ROOT}/live", look),
        workspaces=workspaces,
        lakehouses=lakehouses,
        rows=[row_of(request, one) for one in page.activities],
    )


async def _look(request: PageRequest) -> PageVersion:
    page = await monitoring.list_all_activities(
        request.context, request.caller, Wanted(), limit=_RECENT
    )
    return PageVersion(versions={"rows": look_at(page.activities)}, topics=(AnySessionChanged(),))


async def live(request: PageRequest) -> Response:
    """Stream changes of the newest activities."""
    return request.stream(lambda: _look(request))
