"""One activity: its head with state and reason, its tabs, its conf, and the stop of its session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER, Activity
from livius.domain.ids import ReplId
from livius.domain.lakehouse import MAY_RUN
from livius.domain.outline import Counts
from livius.domain.session import FINAL, Phase, Session
from livius.portal import labels
from livius.portal.doing import Doing, doing_of
from livius.portal.events import PageVersion
from livius.portal.labels import N_, State
from livius.portal.pages_base import ROOT, Crumb, Live, PageRequest, Portal
from livius.ports.notifications import StatementsChanged
from livius.usecases import monitoring, outlines, sessions
from livius.usecases.access import SessionPath
from livius.usecases.event_feed import Position
from livius.usecases.queue import QueuePlace, queue_places
from livius.usecases.runtimes import build_step
from livius.usecases.statement_reads import count_open

BASE: Final = "/workspaces/{workspace}/activities/{session}"
TABS: Final[Sequence[tuple[str, str]]] = (
    ("", N_("Statements")),
    ("overview", N_("Overview")),
    ("jobs", N_("Spark jobs")),
    ("logs", N_("Logs")),
    ("configuration", N_("Configuration")),
)
"""The tabs for callers who may read the whole activity."""
OPEN_TAB: Final = "overview"
"""The tab that other callers see too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An activity with the caller's rights.

    ``repl`` is the selected repl of a shared session: links keep it. Until it was looked up (see
    `livius.portal.pages.repls`) it is what the request says.
    """

    activity: Activity
    path: str
    state: State
    reason: str | None
    said: str | None
    ready: datetime | None
    ended: datetime | None
    may_read: bool
    may_stop: bool
    may_run: bool
    may_start_again: bool
    has_spark_ui: bool
    repl: ReplId | None = None
    queue: QueuePlace | None = None
    building: str | None = None
    is_busy: bool = False
    """Whether code runs or waits. Only pages know it: each look at a change would cost a query."""

    counts: Counts | None = None
    """How many statements and Spark jobs it has, for a caller who may read them; as above."""

    @property
    def doing(self) -> Doing:
        """Return what it does, in place of Fabric's one word for all live sessions."""
        return doing_of(self.activity, is_busy=self.is_busy, is_queued=self.queue is not None)

    @property
    def is_over(self) -> bool:
        """Tell whether it has ended."""
        return self.activity.state in OVER

    @property
    def session(self) -> SessionPath:
        """Return the session's path, as use cases take it."""
        one = self.activity.session
        return SessionPath(one.workspace, one.lakehouse, one.id, self.repl)

    def link(self, part: str = "", /, **query: object) -> str:
        """Return the address of a part of the activity, for the selected repl."""
        named = {"repl": self.repl, **query}
        asked = urlencode({name: value for name, value in named.items() if value is not None})
        path = f"{self.path}/{part}" if part else self.path
        return f"{path}{'&' if '?' in path else '?'}{asked}" if asked else path


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of an activity."""
    return [
        portal.get(f"{BASE}/head", head, passive=True),
        portal.get(f"{BASE}/panel", panel),
        portal.get(f"{BASE}/stop", ask_to_stop),
        portal.post(f"{BASE}/stop", stop),
        portal.get(f"{BASE}/live", live, passive=True),
    ]


def activity_path(session: Session) -> str:
    """Return the path of an activity's page."""
    return f"{ROOT}/workspaces/{session.workspace}/activities/{session.id}"


def console_path(session: Session, table: str | None = None) -> str:
    """Return the path of an activity's console; with a table, a query of it is written there."""
    query = f"?{urlencode({'table': table})}" if table else ""
    return f"{activity_path(session)}{query}#code"


async def find(request: PageRequest, *, whole: bool = False) -> View:
    """Return the activity that a path names.

    Raises:
        NotFound: there is none that the caller may see.
        Forbidden: with ``whole``, the caller may not read its code and outputs.
    """
    context, caller = request.context, request.caller
    workspace, session = request.path("workspace"), request.path("session")
    opened = await monitoring.open_activity(context, caller, workspace, session)
    if whole:
        monitoring.check_may_read(opened)
    activity, may_read = opened.activity, opened.may_read
    record = activity.session
    may_do = may_read and opened.role in MAY_RUN
    repl = request.asked("repl") if record.is_shared else ""
    return View(
        activity=activity,
        path=activity_path(record),
        state=labels.ACTIVITY[activity.state],
        reason=labels.END[record.end_cause] if record.end_cause else None,
        said=labels.end_reason(record.end_cause, record.end_reason) if may_read else None,
        ready=record.times.get(Phase.READY),
        ended=record.ended_at,
        may_read=may_read,
        may_stop=may_do and activity.state not in OVER and record.deleted_at is None,
        may_run=may_do and record.accepts_statements,
        may_start_again=may_do and activity.state in OVER and not record.is_shared,
        has_spark_ui=may_read and await _has_spark_ui(request, record),
        repl=ReplId(repl) if repl else None,
        queue=(await queue_places(context, [record])).get(record.id),
        building=build_step(context, record),
    )


async def _has_spark_ui(request: PageRequest, record: Session) -> bool:
    """Tell whether a session has Spark's pages: its driver's, or those of its event log."""
    if record.phase in FINAL:
        return await monitoring.event_log(request.context, record) is not None
    return record.phase is Phase.READY and record.ui_url is not None


async def with_work(request: PageRequest, view: View) -> View:
    """Return an activity as its head and tabs show it."""
    session = view.activity.session
    counts = await outlines.counts(request.context, session)
    return replace(
        view,
        is_busy=session.phase is Phase.READY and counts.open > 0,
        counts=counts if view.may_read else None,
    )


async def show(
    request: PageRequest,
    template: str,
    view: View,
    *,
    tab: str,
    seen: PageVersion | Position | None,
    stream: str = "live",
    **values: Any,
) -> Response:
    """Return a tab of an activity's page.

    ``stream`` is the address of its events, ``seen`` what the page has of them; None: it needs
    none.
    """
    return request.page(
        template,
        title=view.activity.session.name,
        place="monitor",
        crumbs=[
            Crumb(request.tr("Home"), ROOT),
            Crumb(request.tr("Monitoring hub"), f"{ROOT}/monitor"),
            Crumb(view.activity.session.name),
        ],
        live=Live(view.link(stream), seen) if seen is not None else None,
        view=await with_work(request, view),
        activity=view.activity,
        tab=tab,
        tabs=tabs_of(view),
        **values,
    )


def tabs_of(view: View) -> Sequence[tuple[str, str]]:
    """Return the tabs that a caller sees: their keys and labels."""
    return [one for one in TABS if view.may_read or one[0] == OPEN_TAB]


async def head(request: PageRequest) -> Response:
    """Return the head of the page, with the commands for its state."""
    view = await with_work(request, await find(request))
    return request.fragment(
        "_activity_head.html",
        view=view,
        activity=view.activity,
        tab=request.asked("tab"),
        tabs=tabs_of(view),
        oob=True,
    )


async def panel(request: PageRequest) -> Response:
    """Return the facts for the panel beside the list."""
    view = await with_work(request, await find(request))
    return request.fragment("_panel.html", view=view, activity=view.activity)


async def ask_to_stop(request: PageRequest) -> Response:
    """Ask, and name the consequences for the callers of statements."""
    view = await find(request, whole=True)
    repl = await monitoring.activity_repl(request.context, view.activity.session)
    running, waiting = await count_open(request.context, repl)
    return request.fragment(
        "_stop.html",
        view=view,
        activity=view.activity,
        running=running,
        waiting=waiting,
    )


async def stop(request: PageRequest) -> Response:
    """End the session, as deleting it through the API does."""
    view = await find(request, whole=True)
    await sessions.delete_session(request.context, request.caller, view.session)
    return request.go(view.path)


async def live(request: PageRequest) -> Response:
    """Stream the activity's changes."""

    async def looker() -> PageVersion:
        return version_of(await find(request))

    return request.stream(looker)


def version_of(view: View) -> PageVersion:
    """Return the version of a page that shows no statements."""
    record = view.activity.session
    place = view.building or (view.queue and view.queue.position)
    return PageVersion(
        versions={"head": f"{view.activity.state} {record.phase} {place}"},
        topics=(record.id, StatementsChanged(record.id)),
    )
