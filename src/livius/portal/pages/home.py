"""The first page: the next useful thing to do, and what runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import ActivityState
from livius.portal.desk import ROOT, Call, Desk, Live
from livius.portal.live import Look
from livius.portal.pages.monitor import look_at, row_of
from livius.ports.changes import AnySession
from livius.usecases import catalog, monitoring
from livius.usecases.monitoring import Wanted

_RECENT: Final = 5
_LIVE: Final = frozenset({ActivityState.WAITING, ActivityState.RUNNING, ActivityState.STOPPING})


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of the first page."""
    return [desk.get("", home), desk.get("/live", live, passive=True)]


async def home(call: Call) -> Response:
    """Show what there is; where there is nothing, how to begin."""
    look = await _look(call)
    context, caller = call.context, call.caller
    workspaces = await catalog.list_workspaces(context, caller)
    lakehouses = [
        (workspace, lakehouse)
        for workspace, _role in workspaces
        for lakehouse in await catalog.list_lakehouses(context, caller, workspace.id)
    ]
    page = await monitoring.list_all_activities(context, caller, Wanted(), limit=_RECENT)
    return call.page(
        "home.html",
        title=call.tr("Home"),
        place="home",
        live=Live(f"{ROOT}/live", look),
        workspaces=workspaces,
        lakehouses=lakehouses,
        rows=[row_of(call, one) for one in page.activities],
    )


async def _look(call: Call) -> Look:
    page = await monitoring.list_all_activities(call.context, call.caller, Wanted(), limit=_RECENT)
    return Look(versions={"rows": look_at(page.activities)}, topics=(AnySession(),))


async def live(call: Call) -> Response:
    """Tell when the newest activities change."""
    return call.stream(lambda: _look(call))
