"""An activity's Spark jobs by statement, as they were last reported: also after its end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.ids import ReplId
from livius.domain.jobs import SparkJob, SparkStage, StatementJobs
from livius.domain.outline import JobCount, Outline, StatementMark
from livius.domain.statement import FINAL
from livius.portal import labels
from livius.portal.axis import SHORTEST
from livius.portal.events import PageVersion, version_of
from livius.portal.labels import State
from livius.portal.pages.activity import BASE, View, find, show
from livius.portal.pages.activity import version_of as head_version
from livius.portal.pages.repls import select
from livius.portal.pages.stages import STATES, UNKNOWN
from livius.portal.pages.statements import cell_link
from livius.portal.pages_base import PageRequest, Portal, number
from livius.portal.timeline import Span, timeline
from livius.ports.outlines import Key
from livius.usecases import outlines
from livius.usecases.outlines import first_line

_MOST: Final = 100
"""Jobs on a page, or one statement's, if it has more."""
_DELTAS: Final = "Delta: "
"""How Delta's descriptions begin, once for each part of it that it speaks of."""
_OF_CODE: Final = re.compile(r"\boperation\b")
"""Delta's descriptions with it are about what a DELETE, UPDATE or MERGE of the code's does."""
_SITE: Final = re.compile(r"(\w+) at <(?:cell (\d{1,9})|console)>:(\d{1,6})")
_DESCRIBED: Final = 200
"""Characters of a statement's code that Spark has as the description of its jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What stages read from storage and wrote to it."""

    input_rows: int
    input_bytes: int
    output_rows: int
    output_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownJob:
    """A job with its name. ``start`` and ``width`` are its place in its statement's time."""

    job: SparkJob
    name: str
    state: State
    start: float
    width: float
    numbers: Numbers

    @property
    def done(self) -> int:
        """Return how many tasks are done or skipped."""
        return self.job.done + self.job.skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The jobs of a statement: those of its code, and those that Delta began for its own ends."""

    number: int
    repl: int | None
    repl_id: ReplId
    link: str
    code: str
    state: State | None
    began: datetime | None
    ended: datetime | None
    total: int
    jobs: Sequence[ShownJob]
    own: Sequence[ShownJob]

    @property
    def left_out(self) -> int:
        """Return how many earlier jobs are not known any more."""
        return self.total - len(self.jobs) - len(self.own)

    @property
    def own_seconds(self) -> float:
        """Return how long Delta's own jobs took together."""
        times = [(one.job.started_at, one.job.ended_at) for one in self.own]
        return sum((end - start).total_seconds() for start, end in times if start and end)


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of jobs."""
    return [
        portal.get(f"{BASE}/jobs", jobs),
        portal.get(f"{BASE}/jobs/live", live, passive=True),
    ]


async def jobs(request: PageRequest) -> Response:
    """Show jobs by statement, the newest first; with ``statement``, only one statement's."""
    selected = await select(request, await find(request, whole=True))
    view, session = selected.view, selected.view.activity.session
    outline = await outlines.session_outline(request.context, session)
    counts = _ordered(outline, await outlines.job_counts(request.context, session))
    chosen, until = request.asked("statement"), None
    if chosen.isdecimal():
        counts = [
            one for one in counts if (one.repl, str(one.number)) == (selected.repl.id, chosen)
        ]
    else:
        chosen, until = "", number(request.asked("until"), len(counts))
    page, earlier = _page(counts[:until])
    found = await outlines.jobs_of(request.context, [(one.repl, one.number) for one in page])
    numbers = selected.numbers if session.is_shared else {}
    values = {
        "groups": await _groups(request, view, outline, page, found, numbers),
        "statement": chosen,
        "until": request.asked("until"),
        "earlier": earlier if not chosen else 0,
        "is_newest": until is None or until >= len(counts),
        "stages": _stages(found) if chosen else [],
        "timeline": _timeline(found) if chosen else None,
        "is_full": False,
    }
    if request.is_fragment:
        return request.fragment("_jobs.html", view=view, **values)
    return await show(
        request,
        "activity_jobs.html",
        view,
        tab="jobs",
        seen=await _version(request, view, outline),
        stream="jobs/live",
        **values,
    )


async def live(request: PageRequest) -> Response:
    """Stream changes of the jobs."""

    async def looker() -> PageVersion:
        view = await find(request, whole=True)
        outline = await outlines.session_outline(request.context, view.activity.session)
        return await _version(request, view, outline)

    return request.stream(looker)


async def _version(request: PageRequest, view: View, outline: Outline) -> PageVersion:
    base = head_version(view)
    running = [(one.repl, one.number) for one in outline.marks if one.phase not in FINAL]
    found = await outlines.jobs_of(request.context, running)
    ends = [one.phase for one in outline.marks]
    shown = version_of(f"{outline.jobs} {ends} {found}")
    return replace(base, versions={**base.versions, "jobs": shown})


def _ordered(outline: Outline, counts: Sequence[JobCount]) -> Sequence[JobCount]:
    """Return the statements that have jobs, in the order in which they ran."""
    place = {(one.repl, one.number): at for at, one in enumerate(outline.marks)}
    return sorted(counts, key=lambda one: (place.get((one.repl, one.number), -1), one.number))


def _page(counts: Sequence[JobCount]) -> tuple[Sequence[JobCount], int]:
    """Return the last of the statements, as many as a page has room for, and how many are left."""
    newest = counts[::-1]
    sums = accumulate((one.total for one in newest), initial=0)
    size = sum(before < _MOST for _one, before in zip(newest, sums, strict=False))
    return newest[:size], len(counts) - size


async def _groups(
    request: PageRequest,
    view: View,
    outline: Outline,
    page: Sequence[JobCount],
    found: Mapping[Key, StatementJobs],
    numbers: Mapping[str, int],
) -> Sequence[Group]:
    codes = await outlines.heads_of_code(request.context, found, size=outlines.LONGEST_CODE)
    marks = {(one.repl, one.number): one for one in outline.marks}

    def group(count: JobCount) -> Group:
        key = (count.repl, count.number)
        code, mark = codes.get(key, ""), marks.get(key)
        shown = [_shown(one, code, mark) for one in found[key].jobs] if key in found else []
        return Group(
            number=count.number,
            repl=numbers.get(count.repl),
            repl_id=count.repl,
            link=cell_link(view, count.number, count.repl if numbers else None),
            code=first_line(code),
            state=labels.mark_state(mark) if mark else None,
            began=mark.started_at if mark else None,
            ended=mark.ended_at if mark else None,
            total=count.total,
            jobs=[one for one in shown if not _is_own(one.job)],
            own=[one for one in shown if _is_own(one.job)],
        )

    return [group(one) for one in page]


def _is_own(job: SparkJob) -> bool:
    """Tell whether Delta began a job for its own ends, such as reading its log."""
    text = job.description or ""
    return text.startswith(_DELTAS) and not _OF_CODE.search(text)


def _shown(job: SparkJob, code: str, mark: StatementMark | None) -> ShownJob:
    start, width = _place(job, mark)
    return ShownJob(
        job=job,
        name=_name(job, code),
        state=STATES.get(job.status, UNKNOWN),
        start=start,
        width=width,
        numbers=Numbers(
            input_rows=sum(one.input_rows for one in job.stages),
            input_bytes=sum(one.input_bytes for one in job.stages),
            output_rows=sum(one.output_rows for one in job.stages),
            output_bytes=sum(one.output_bytes for one in job.stages),
        ),
    )


def _name(job: SparkJob, code: str) -> str:
    """Return what a job does: in its own words, or else the line of code that began it."""
    text = job.description or ""
    said = text
    while said.startswith(_DELTAS):
        said = said.removeprefix(_DELTAS)
    if said != text:
        return said.removeprefix(code[:_DESCRIBED]).removeprefix(": ")
    if text and text != code[:_DESCRIBED]:
        return text
    lines = code.splitlines()
    site = _SITE.fullmatch(job.name)
    if site is not None and 0 < int(site[3]) <= len(lines):
        return lines[int(site[3]) - 1].strip()
    return first_line(code) or job.name


def _place(job: SparkJob, mark: StatementMark | None) -> tuple[float, float]:
    if mark is None or mark.started_at is None or job.started_at is None:
        return 0.0, 0.0
    began, now = mark.started_at, datetime.now(UTC)
    length = max(((mark.ended_at or now) - began).total_seconds(), SHORTEST)
    start = (job.started_at - began).total_seconds() / length
    end = ((job.ended_at or now) - began).total_seconds() / length
    start, end = (min(max(one, 0.0), 1.0) for one in (start, end))
    return round(min(100 * start, 98.0), 2), round(max(100 * (end - start), 2.0), 2)


def _stages(found: Mapping[Key, StatementJobs]) -> Sequence[tuple[SparkStage, State]]:
    """Return the stages that did something."""
    stages = {one.id: one for kept in found.values() for job in kept.jobs for one in job.stages}
    return [
        (one, STATES.get(one.status, UNKNOWN)) for one in stages.values() if one.status != "SKIPPED"
    ]


def _timeline(found: Mapping[Key, StatementJobs]) -> object:
    spans = [
        Span(
            name=f"{one.id} · {one.name}",
            tone=state.tone,
            began=one.started_at,
            ended=one.ended_at,
            tasks=one.tasks,
        )
        for one, state in _stages(found)
        if one.started_at is not None and (one.ended_at is not None or state.icon == "busy")
    ]
    return timeline(spans, (), now=datetime.now(UTC))
