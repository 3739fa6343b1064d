"""An activity's executors, Spark jobs and stages, from Spark's REST API.

Of a running session that is its driver's, of an ended one the History Server's, which the page
starts and waits for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.errors import LiviusError
from livius.domain.session import FINAL, Phase
from livius.language import said
from livius.portal.events import PageVersion
from livius.portal.labels import N_, State
from livius.portal.pages.activity import BASE, View, find, show, version_of
from livius.portal.pages.repls import select
from livius.portal.pages_base import PageRequest, Portal
from livius.portal.timeline import Span, Timeline, timeline
from livius.ports.history import Opening
from livius.usecases import monitoring

_MOST: Final = 200
_LOOK_EVERY: Final = 3.0
_LOOK_AT_OPENING: Final = 1.0
_GROUP: Final = re.compile(r"livius-([0-9a-f-]{36})-(\d{1,9})")
STATES: Final[Mapping[str, State]] = {
    "RUNNING": State(N_("Running"), "busy", "busy"),
    "ACTIVE": State(N_("Running"), "busy", "busy"),
    "SUCCEEDED": State(N_("Succeeded"), "good", "good"),
    "COMPLETE": State(N_("Succeeded"), "good", "good"),
    "FAILED": State(N_("Failed"), "bad", "bad"),
    "CANCELLED": State(N_("Cancelled"), "still", "off"),
    "PENDING": State(N_("Waiting"), "wait", "wait"),
    "SKIPPED": State(N_("Skipped"), "still", "off"),
}
UNKNOWN: Final = State(N_("Unknown"), "still", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A Spark job or stage; ``statement`` is the number of its statement, ``repl`` that one's."""

    id: int
    name: str
    statement: int | None
    repl: str | None
    state: State
    stages: Sequence[int]
    tasks: int
    done: int
    failed: int
    began: datetime | None
    ended: datetime | None


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of this view."""
    return [
        portal.get(f"{BASE}/jobs/spark", stages),
        portal.get(f"{BASE}/jobs/spark/live", live, passive=True),
    ]


async def stages(request: PageRequest) -> Response:
    """Show executors, and jobs and stages, the newest first."""
    view = await find(request, whole=True)
    found = _Found()
    try:
        opening = await monitoring.begin_history(request.context, view.activity.session)
        found = (
            _Found(is_opening=True) if opening is Opening.STARTING else await _ask(request, view)
        )
    except LiviusError as error:
        found = _Found(trouble=said(error.message, request.language))
    numbers = (await select(request, view)).numbers if view.activity.session.is_shared else {}
    return await _shown(request, view, found, numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What Spark says. ``is_full``: its event log lacks later jobs."""

    jobs: Sequence[Job] = ()
    stages: Sequence[Job] = ()
    executors: Sequence[Span] = ()
    is_full: bool = False
    is_opening: bool = False
    trouble: str | None = None

    def timeline(self) -> Timeline | None:
        """Return the timeline; that of the jobs where the stages have no times."""
        spans = _spans(self.stages) or _spans(self.jobs)
        return timeline(spans, self.executors, now=datetime.now(UTC))


async def _shown(
    request: PageRequest,
    view: View,
    found: _Found,
    numbers: Mapping[str, int],
) -> Response:
    values = {
        "jobs": found.jobs[:_MOST],
        "stages": found.stages[:_MOST],
        "timeline": found.timeline(),
        "is_full": found.is_full,
        "is_opening": found.is_opening,
        "trouble": found.trouble,
        "numbers": numbers,
    }
    if request.is_fragment:
        return request.fragment("_stages.html", view=view, **values)
    base = version_of(view)
    version = _opening_version(request, view) or _digest(found.jobs)
    look = replace(base, versions={**base.versions, "jobs": version})
    return await show(
        request,
        "activity_stages.html",
        view,
        tab="jobs",
        seen=look,
        stream="jobs/spark/live",
        **values,
    )


async def live(request: PageRequest) -> Response:
    """Stream changes of Spark's jobs."""

    async def looker() -> PageVersion:
        view = await find(request, whole=True)
        base, beat = version_of(view), _LOOK_EVERY
        version = _opening_version(request, view)
        if version is not None:
            beat = _LOOK_AT_OPENING
        elif view.activity.session.phase is Phase.READY:
            with contextlib.suppress(LiviusError):
                version = _digest([_job(one) for one in await _get(request, view, "jobs")])
        return replace(base, versions={**base.versions, "jobs": version or ""}, beat=beat)

    return request.stream(looker)


def _opening_version(request: PageRequest, view: View) -> str | None:
    """Return the version of an ended session's jobs; None for others.

    They never change, and only the start of the History Server has to be followed: reading them
    would keep it running for as long as a page is open.
    """
    if view.activity.session.phase not in FINAL:
        return None
    is_starting = monitoring.history_opening(request.context) is Opening.STARTING
    return "opening" if is_starting else "settled"


def _digest(jobs: Sequence[Job]) -> str:
    return hashlib.sha256(repr(jobs[:_MOST]).encode("utf-8", "replace")).hexdigest()[:16]


async def _ask(request: PageRequest, view: View) -> _Found:
    session = view.activity.session
    log = await monitoring.event_log(request.context, session) if session.phase in FINAL else None
    return _Found(
        jobs=[_job(one) for one in await _get(request, view, "jobs")],
        stages=[_stage(one) for one in await _get(request, view, "stages")],
        executors=_executors(request, await _get(request, view, "allexecutors")),
        is_full=log is not None and log.is_full,
    )


async def _get(request: PageRequest, view: View, path: str) -> Sequence[Mapping[str, Any]]:
    application = view.activity.session.spark_app_id or ""
    raw = await monitoring.spark_page(request.context, view.activity, application, path, {})
    found = json.loads(raw)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _executors(request: PageRequest, found: Sequence[Mapping[str, Any]]) -> Sequence[Span]:
    spans = []
    for one in found:
        began = _moment(one.get("addTime"))
        if began is not None:
            spans.append(
                Span(
                    name=request.tr("Executor %(id)s", id=str(one.get("id"))[:40]),
                    tone="whole",
                    began=began,
                    ended=_moment(one.get("removeTime")),
                    tasks=_int(one.get("totalTasks")),
                    cores=_int(one.get("totalCores")),
                )
            )
    return spans


def _spans(found: Sequence[Job]) -> Sequence[Span]:
    return [
        Span(
            name=f"{one.id} · {one.name}",
            tone=one.state.tone,
            began=one.began,
            ended=one.ended,
            tasks=one.tasks,
        )
        for one in found
        if one.began is not None and (one.ended is not None or one.state.icon == "busy")
    ]


def _job(one: Mapping[str, Any]) -> Job:
    group = _GROUP.fullmatch(str(one.get("jobGroup", "")))
    return Job(
        id=_int(one.get("jobId")),
        name=str(one.get("description") or one.get("name") or "")[:300],
        statement=int(group[2]) if group else None,
        repl=group[1] if group else None,
        state=STATES.get(str(one.get("status")), UNKNOWN),
        stages=[_int(stage) for stage in one.get("stageIds") or []],
        tasks=_int(one.get("numTasks")),
        done=_int(one.get("numCompletedTasks")) + _int(one.get("numSkippedTasks")),
        failed=_int(one.get("numFailedTasks")),
        began=_moment(one.get("submissionTime")),
        ended=_moment(one.get("completionTime")),
    )


def _stage(one: Mapping[str, Any]) -> Job:
    return Job(
        id=_int(one.get("stageId")),
        name=str(one.get("name") or "")[:300],
        statement=None,
        repl=None,
        state=STATES.get(str(one.get("status")), UNKNOWN),
        stages=[],
        tasks=_int(one.get("numTasks")),
        done=_int(one.get("numCompleteTasks")),
        failed=_int(one.get("numFailedTasks")),
        began=_moment(one.get("submissionTime")),
        ended=_moment(one.get("completionTime")),
    )


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _moment(value: object) -> datetime | None:
    """Read Spark's way of writing moments: ``2026-01-01T00:00:00.000GMT``."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value.removesuffix("GMT") + "+00:00")
    except ValueError:
        return None
