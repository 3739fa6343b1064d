"""The first page: the next useful step, and recent activities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER, ActivityState
from livius.domain.lakehouse import Lakehouse, Workspace
from livius.domain.permissions import RUN
from livius.domain.pool import PoolState
from livius.portal import samples
from livius.portal.busy_line import BARS
from livius.portal.events import PageVersion
from livius.portal.labels import POOL
from livius.portal.pages.activity_rows import busy_lines, rows_of, version_of_rows
from livius.portal.pages.workspaces import lakehouse_path
from livius.portal.pages_base import ROOT, STARTS_COOKIE, Live, PageRequest, Portal
from livius.usecases import catalog, monitoring
from livius.usecases.monitoring import ActivityPage, Wanted

_RECENT: Final = 5
_CONSOLES: Final = 6


@dataclass(frozen=True, slots=True)
class Choice:
    """A lakehouse that the caller sees, and its page; whether the caller may run code there."""

    workspace: Workspace
    lakehouse: Lakehouse
    path: str
    may_run: bool


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of the first page."""
    return [portal.get("", home), portal.get("/live", live, passive=True)]


async def home(request: PageRequest) -> Response:
    """Show ways to begin, running and recent sessions, and the connection."""
    look = await _look(request)
    context, caller = request.context, request.caller
    page, going_on = await _recent(request), await _live(request)
    workspaces = await catalog.list_workspaces(context, caller)
    lakehouses = [
        Choice(workspace, lakehouse, lakehouse_path(lakehouse), role in RUN.roles)
        for workspace, role in workspaces
        for lakehouse in await catalog.list_lakehouses(context, caller, workspace.id)
    ]
    # The most recent one first: it is the likeliest to be used again.
    recent = [one.session.lakehouse for one in (*going_on.activities, *page.activities)]
    lakehouses.sort(key=lambda one: (*recent, one.lakehouse.id).index(one.lakehouse.id))
    runnable = [one for one in lakehouses if one.may_run]
    of_environments = await request.context.environment_drivers()
    return request.page(
        "home.html",
        title=request.tr("Home"),
        place="home",
        live=Live(f"{ROOT}/live", look),
        workspaces=workspaces,
        lakehouses=lakehouses,
        consoles=runnable[:_CONSOLES],
        sessions_url=samples.sessions_url(request.portal.facts, runnable[0].lakehouse)
        if runnable
        else "",
        samples=samples.all_for(request.portal.facts, runnable[0].lakehouse) if runnable else (),
        rows=await rows_of(request, page.activities, workspaces),
        lines=await busy_lines(request, page.activities, workspaces),
        bars=BARS,
        going_on=await rows_of(request, going_on.activities, workspaces),
        has_more=going_on.following is not None,
        shows_starts=request.http.cookies.get(STARTS_COOKIE) != "hidden",
        pool=_pool(request, await request.context.pool()),
        environment_drivers=_pool(request, of_environments) if of_environments.size else "",
    )


def _pool(request: PageRequest, state: PoolState) -> str:
    return request.tr(POOL[state.condition], warm=state.warm, size=state.size)


async def _look(request: PageRequest) -> PageVersion:
    going_on, page = await _live(request), await _recent(request)
    return await version_of_rows(request, [*going_on.activities, *page.activities])


async def _live(request: PageRequest) -> ActivityPage:
    wanted = Wanted(states=frozenset(ActivityState) - OVER)
    return await monitoring.list_all_activities(
        request.context, request.caller, wanted, limit=_RECENT
    )


async def _recent(request: PageRequest) -> ActivityPage:
    return await monitoring.list_all_activities(
        request.context, request.caller, Wanted(states=OVER), limit=_RECENT
    )


async def live(request: PageRequest) -> Response:
    """Stream changes of running and recent sessions."""
    return request.stream(lambda: _look(request))
