"""An activity's overview: its life on one axis, its figures and facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.ids import ReplId
from livius.domain.outline import Outline
from livius.domain.repl import LIVE
from livius.domain.session import STARTING, Phase, Session
from livius.domain.statement import Phase as StatementPhase
from livius.portal import labels
from livius.portal.events import PageVersion, version_of
from livius.portal.labels import State
from livius.portal.pages.activity import BASE, View, find, show, with_work
from livius.portal.pages.activity import version_of as head_version
from livius.portal.pages.statements import cell_link
from livius.portal.pages_base import PageRequest, Portal
from livius.portal.session_timeline import Bar, Life, SessionTimeline, session_timeline
from livius.usecases import monitoring, outlines
from livius.usecases.outlines import first_line

_PARTS: Final[Mapping[str, str]] = {
    "life": "_life.html",
    "list": "_life_list.html",
    "facts": "_life_facts.html",
}
"""The parts that fetch themselves, and their templates."""

_TONES: Final[Mapping[str, State]] = {
    "good": labels.STATEMENT[StatementPhase.AVAILABLE],
    "bad": labels.FAILED,
    "still": labels.STATEMENT[StatementPhase.CANCELLED],
    "busy": labels.STATEMENT[StatementPhase.RUNNING],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBar:
    """A bar with what a pointer and the list show of it. ``repl`` is a number, from 1."""

    bar: Bar
    state: State
    link: str
    code: str
    repl: int | None

    @property
    def after(self) -> float:
        """Return its time from the session's beginning, in seconds."""
        return self.bar.after


@dataclass(frozen=True, slots=True)
class ReplCount:
    """How many repls a shared session has, and had."""

    live: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step of the session's life in the list: what, and its time in seconds."""

    label: str
    what: str
    after: float
    seconds: float | None


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of the overview."""
    return [
        portal.get(f"{BASE}/overview", overview),
        portal.get(f"{BASE}/overview/live", live, passive=True),
    ]


async def overview(request: PageRequest) -> Response:
    """Show the session's life, its figures and facts."""
    view = await find(request)
    session = view.activity.session
    numbers = await _repl_numbers(request, session)
    outline = await outlines.session_outline(request.context, session) if view.may_read else None
    timeline = session_timeline(outline.marks if outline else (), _life(request, session))
    lanes = await _lanes(request, view, timeline, numbers)
    steps: Sequence[StepView | ShownBar] = [*_steps(view, timeline), *chain(*lanes)]
    values = {
        "outline": outline,
        "timeline": timeline,
        "lanes": lanes,
        "listed": sorted(steps, key=lambda one: one.after),
        "repls": _count(numbers),
        "tones": _TONES,
    }
    if request.is_fragment and (part := _PARTS.get(request.asked("part"))):
        whole = await with_work(request, view)
        return request.fragment(part, view=whole, activity=view.activity, **values)
    return await show(
        request,
        "activity_overview.html",
        view,
        tab="overview",
        seen=_version(view, _count(numbers), outline),
        stream="overview/live",
        **values,
    )


async def live(request: PageRequest) -> Response:
    """Stream changes of the session's life and facts."""

    async def looker() -> PageVersion:
        view = await find(request)
        session, outline = view.activity.session, None
        if view.may_read:
            outline = await outlines.session_outline(request.context, session)
        return _version(view, _count(await _repl_numbers(request, session)), outline)

    return request.stream(looker)


def _life(request: PageRequest, session: Session) -> Life:
    times = session.times
    starts = [one for one in labels.PHASES if one.phase in STARTING and one.phase in times]
    return Life(
        starts=[("", session.created_at)]
        if not starts
        else [
            (one.label, session.created_at if one is starts[0] else times[one.phase])
            for one in starts
        ],
        ready=times.get(Phase.READY),
        stopping=times.get(Phase.STOPPING, session.ended_at),
        until=session.ended_at or request.context.clock.now(),
    )


async def _repl_numbers(
    request: PageRequest, session: Session
) -> Mapping[ReplId, tuple[int, bool]]:
    """Return the number of each repl of a shared session, and whether it lives; none of others."""
    if not session.is_shared:
        return {}
    found = await monitoring.shared_repls(request.context, session)
    return {
        repl.id: (number, repl.phase in LIVE) for number, (repl, _handle) in enumerate(found, 1)
    }


def _count(numbers: Mapping[ReplId, tuple[int, bool]]) -> ReplCount | None:
    if not numbers:
        return None
    return ReplCount(sum(is_live for _number, is_live in numbers.values()), len(numbers))


async def _lanes(
    request: PageRequest,
    view: View,
    timeline: SessionTimeline,
    numbers: Mapping[ReplId, tuple[int, bool]],
) -> Sequence[Sequence[ShownBar]]:
    bars = [bar for lane in timeline.lanes for bar in lane.bars]
    heads = await outlines.heads_of_code(
        request.context, [(bar.repl, bar.first) for bar in bars if bar.count == 1]
    )

    def shown(bar: Bar) -> ShownBar:
        number = numbers.get(bar.repl)
        return ShownBar(
            bar=bar,
            state=_TONES[bar.tone],
            link=cell_link(view, bar.first, bar.repl if number else None),
            code=first_line(heads.get((bar.repl, bar.first), "")) if bar.count == 1 else "",
            repl=number[0] if number else None,
        )

    return [[shown(bar) for bar in lane.bars] for lane in timeline.lanes]


def _steps(view: View, timeline: SessionTimeline) -> Sequence[StepView]:
    """Return the steps of the session's start and end, as the list has them."""
    session = view.activity.session
    said = {one.label: one.what for one in labels.PHASES}
    found = [
        StepView(
            label=piece.label,
            what=said.get(piece.label, ""),
            after=piece.after,
            seconds=piece.seconds,
        )
        for piece in timeline.starting
    ]
    for moment, label, what in _moments(session, view):
        after = (moment - session.created_at).total_seconds()
        found.append(StepView(label=label, what=what, after=after, seconds=None))
    return found


def _moments(session: Session, view: View) -> Sequence[tuple[datetime, str, str]]:
    ready, stopping = session.times.get(Phase.READY), session.times.get(Phase.STOPPING)
    words = {one.phase: one for one in labels.PHASES}
    found = []
    if ready is not None:
        found.append((ready, words[Phase.READY].label, ""))
    if stopping is not None:
        found.append((stopping, words[Phase.STOPPING].label, words[Phase.STOPPING].what))
    if session.ended_at is not None:
        found.append((session.ended_at, view.state.label, view.reason or ""))
    return found


def _version(view: View, repls: ReplCount | None, outline: Outline | None) -> PageVersion:
    base = head_version(view)
    marks: Any = outline.marks if outline else ()
    last = [(one.repl, one.number, one.phase) for one in marks[-20:]]
    jobs = outline.jobs.total if outline else 0
    outlined = version_of(f"{base.versions['head']} {outline and outline.statements} {jobs} {last}")
    versions = {**base.versions, "outline": outlined}
    if repls is not None:
        versions["repls"] = f"{repls.live} {repls.total}"
    return replace(base, versions=versions)
