"""One activity: its state and reason, facts, phases and conf; and the cancel of its session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER, Activity, activity_state
from livius.domain.ids import ReplId
from livius.domain.lakehouse import MAY_RUN
from livius.domain.repl import LIVE
from livius.domain.session import Phase, Session
from livius.portal import labels
from livius.portal.events import PageVersion
from livius.portal.labels import N_, PhaseWords, State
from livius.portal.pages_base import ROOT, Crumb, Live, PageRequest, Portal
from livius.ports.notifications import StatementsChanged
from livius.usecases import monitoring, sessions
from livius.usecases.access import SessionPath
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
    has_spark_ui: bool
    repl: ReplId | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseView:
    """A phase in the list of phases. ``since`` is set for the present one."""

    label: str
    what: str
    icon: str
    at: datetime | None = None
    seconds: float | None = None
    since: datetime | None = None

    @property
    def css(self) -> str:
        """Return its look."""
        return {"check": "done", "busy": "now", "bad": "failed"}.get(self.icon, "ahead")


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of an activity."""
    return [
        portal.get(f"{BASE}/overview", overview),
        portal.get(f"{BASE}/overview/live", overview_live, passive=True),
        portal.get(f"{BASE}/configuration", configuration),
        portal.get(f"{BASE}/head", head, passive=True),
        portal.get(f"{BASE}/panel", panel),
        portal.get(f"{BASE}/stop", ask_to_stop),
        portal.post(f"{BASE}/stop", stop),
        portal.get(f"{BASE}/live", live, passive=True),
    ]


def activity_path(session: Session) -> str:
    """Return the path of an activity's page."""
    return f"{ROOT}/workspaces/{session.workspace}/activities/{session.id}"


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
        said=record.end_reason if may_read else None,
        ready=record.times.get(Phase.READY),
        ended=record.ended_at,
        may_read=may_read,
        may_stop=may_do and activity.state not in OVER and record.deleted_at is None,
        may_run=may_do and record.accepts_statements,
        has_spark_ui=may_read and record.phase is Phase.READY and record.ui_url is not None,
        repl=ReplId(repl) if repl else None,
    )


def show(
    request: PageRequest,
    template: str,
    view: View,
    *,
    tab: str,
    look: PageVersion,
    stream: str = "live",
    **values: Any,
) -> Response:
    """Return a tab of an activity's page; ``stream`` is the address of its events."""
    return request.page(
        template,
        title=view.activity.session.name,
        place="monitor",
        crumbs=[
            Crumb(request.tr("Home"), ROOT),
            Crumb(request.tr("Monitoring hub"), f"{ROOT}/monitor"),
            Crumb(view.activity.session.name),
        ],
        live=Live(view.link(stream), look),
        view=view,
        activity=view.activity,
        tab=tab,
        tabs=[one for one in TABS if view.may_read or one[0] == OPEN_TAB],
        **values,
    )


async def overview(request: PageRequest) -> Response:
    """Show its facts, and the time of each phase."""
    view = await find(request)
    steps = await monitoring.steps(request.context, view.activity.session)
    first = next((step.at for step in steps if step.name == "first_statement"), None)
    phases = _phases(view.activity.session, first)
    found = await _repls(request, view)
    if request.is_fragment and request.asked("part"):
        return request.fragment(
            "_overview.html", view=view, activity=view.activity, phases=phases, repls=found
        )
    return show(
        request,
        "activity_overview.html",
        view,
        tab="overview",
        look=_overview_version(view, found),
        stream="overview/live",
        phases=phases,
        repls=found,
    )


async def overview_live(request: PageRequest) -> Response:
    """Stream changes of the facts and phases."""

    async def looker() -> PageVersion:
        view = await find(request)
        return _overview_version(view, await _repls(request, view))

    return request.stream(looker)


@dataclass(frozen=True, slots=True)
class ReplCount:
    """How many repls a shared session has, and had."""

    live: int
    total: int


async def _repls(request: PageRequest, view: View) -> ReplCount | None:
    """Count the repls of a shared session; None for others."""
    if not view.activity.session.is_shared:
        return None
    found = await monitoring.shared_repls(request.context, view.activity.session)
    return ReplCount(sum(repl.phase in LIVE for repl, _handle in found), len(found))


def _overview_version(view: View, repls: ReplCount | None) -> PageVersion:
    base = version_of(view)
    if repls is None:
        return base
    return replace(base, versions={**base.versions, "repls": f"{repls.live} {repls.total}"})


async def configuration(request: PageRequest) -> Response:
    """Show the requested and the effective conf."""
    view = await find(request, whole=True)
    record = view.activity.session
    return show(
        request,
        "activity_configuration.html",
        view,
        tab="configuration",
        look=version_of(view),
        conf=await monitoring.conf_of(request.context, record),
        policed=record.conf,
        tags={name: value for name, value in record.tags.items() if name not in _OUR_TAGS},
    )


_OUR_TAGS: Final = (sessions.WITHOUT_EFFECT_TAG, sessions.SIZES_TAG)


async def head(request: PageRequest) -> Response:
    """Return the head of the page, with the commands for its state."""
    view = await find(request)
    return request.fragment(
        "_activity_head.html", view=view, activity=view.activity, tab=request.asked("tab"), oob=True
    )


async def panel(request: PageRequest) -> Response:
    """Return the facts for the panel beside the list."""
    view = await find(request)
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
    return PageVersion(
        versions={"head": f"{view.activity.state} {record.phase}"},
        topics=(record.id, StatementsChanged(record.id)),
    )


def _phases(record: Session, first: datetime | None) -> Sequence[PhaseView]:
    """Return the phases in order, each with its duration."""
    end = record.ended_at
    moments = [record.times[one.phase] for one in labels.PHASES if one.phase in record.times]
    moments += [end] if end is not None else []
    found = [
        _phase(one, record.times.get(one.phase), record, moments)
        for one in labels.PHASES
        # A phase that was not reached before the end never will be.
        if one.phase in record.times or (end is None and one.phase is not Phase.STOPPING)
    ]
    if first is not None:
        at = next((i for i, one in enumerate(found) if one.at and one.at > first), len(found))
        found.insert(at, PhaseView(label=N_("First statement"), what="", at=first, icon="check"))
    if end is not None:
        state = labels.ACTIVITY[activity_state(record)]
        found.append(
            PhaseView(
                label=state.label,
                what=labels.END[record.end_cause] if record.end_cause else "",
                at=end,
                icon="bad" if state.tone == "bad" else "check",
            )
        )
    return found


def _phase(
    one: PhaseWords, at: datetime | None, record: Session, moments: Sequence[datetime]
) -> PhaseView:
    if at is None:
        return PhaseView(label=one.label, what=one.what, icon="wait")
    if record.phase is one.phase:
        return PhaseView(label=one.label, what=one.what, at=at, since=at, icon="busy")
    following = min((moment for moment in moments if moment > at), default=at)
    seconds = (following - at).total_seconds()
    return PhaseView(label=one.label, what=one.what, at=at, seconds=seconds, icon="check")
