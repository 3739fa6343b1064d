"""An activity's Spark jobs and stages, from Spark's REST API while it runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.errors import LiviusError
from livius.domain.jobs import SparkJob, SparkStage
from livius.domain.session import Phase
from livius.language import said
from livius.portal.events import PageVersion
from livius.portal.labels import N_, State
from livius.portal.pages.activity import BASE, View, find, show, version_of
from livius.portal.pages.repls import Selected, select
from livius.portal.pages_base import PageRequest, Portal
from livius.usecases import monitoring, statement_reads

_MOST: Final = 200
_LOOK_EVERY: Final = 3.0
_GROUP: Final = re.compile(r"livius-([0-9a-f-]{36})-(\d{1,9})")
_STATES: Final[Mapping[str, State]] = {
    "RUNNING": State(N_("Running"), "busy", "busy"),
    "ACTIVE": State(N_("Running"), "busy", "busy"),
    "SUCCEEDED": State(N_("Succeeded"), "good", "good"),
    "COMPLETE": State(N_("Succeeded"), "good", "good"),
    "FAILED": State(N_("Failed"), "bad", "bad"),
    "CANCELLED": State(N_("Cancelled"), "still", "off"),
    "PENDING": State(N_("Waiting"), "wait", "wait"),
    "SKIPPED": State(N_("Skipped"), "still", "off"),
}
_UNKNOWN: Final = State(N_("Unknown"), "still", "unknown")


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
    """Return the routes of jobs."""
    return [
        portal.get(f"{BASE}/jobs", jobs),
        portal.get(f"{BASE}/jobs/live", live, passive=True),
    ]


async def jobs(request: PageRequest) -> Response:
    """Show jobs and stages, the newest first; with ``statement``, only one statement's."""
    view = await find(request, whole=True)
    chosen = request.asked("statement")
    if chosen.isdecimal():
        return await _of_statement(request, view, chosen)
    trouble: str | None = None
    found: list[Job] = []
    stages: list[Job] = []
    try:
        found, stages = await _ask(request, view)
    except LiviusError as error:
        trouble = said(error.message, request.language)
    numbers = _numbers(await select(request, view)) if view.activity.session.is_shared else {}
    return _shown(request, view, found, stages, trouble=trouble, numbers=numbers)


def _numbers(selected: Selected) -> Mapping[str, int]:
    """Return the numbers of a shared session's repls; without them, a statement's is enough."""
    return selected.numbers if selected.row else {}


async def _of_statement(request: PageRequest, view: View, number: str) -> Response:
    """Show one statement's recorded jobs, also of ended sessions."""
    selected = await select(request, view)
    recorded = await statement_reads.statement_jobs(request.context, selected.repl, number)
    found = [_told_job(job, selected.repl.id, int(number)) for job in reversed(recorded.jobs)]
    stages = {one.id: _told_stage(one) for job in recorded.jobs for one in job.stages}
    return _shown(
        request,
        selected.view,
        found,
        list(stages.values()),
        statement=number,
        numbers=_numbers(selected),
    )


def _shown(
    request: PageRequest,
    view: View,
    found: list[Job],
    stages: list[Job],
    *,
    trouble: str | None = None,
    statement: str | None = None,
    numbers: Mapping[str, int],
) -> Response:
    values = {
        "jobs": found[:_MOST],
        "stages": stages[:_MOST],
        "trouble": trouble,
        "statement": statement,
        "numbers": numbers,
    }
    if request.is_fragment:
        return request.fragment("_jobs.html", view=view, **values)
    look = replace(version_of(view), versions={**version_of(view).versions, "jobs": _digest(found)})
    return show(
        request, "activity_jobs.html", view, tab="jobs", look=look, stream="jobs/live", **values
    )


def _told_job(one: SparkJob, repl: str, statement: int) -> Job:
    return Job(
        id=one.id,
        name=one.name,
        statement=statement,
        repl=repl,
        state=_STATES.get(one.status, _UNKNOWN),
        stages=[stage.id for stage in one.stages],
        tasks=one.tasks,
        done=one.done + one.skipped,
        failed=one.failed,
        began=one.started_at,
        ended=one.ended_at,
    )


def _told_stage(one: SparkStage) -> Job:
    return Job(
        id=one.id,
        name=one.name,
        statement=None,
        repl=None,
        state=_STATES.get(one.status, _UNKNOWN),
        stages=[],
        tasks=one.tasks,
        done=one.done,
        failed=one.failed,
        began=None,
        ended=None,
    )


async def live(request: PageRequest) -> Response:
    """Stream changes of Spark's jobs."""

    async def looker() -> PageVersion:
        view = await find(request, whole=True)
        base = version_of(view)
        digest = ""
        if view.activity.session.phase is Phase.READY:
            with contextlib.suppress(LiviusError):
                found, _stages = await _ask(request, view)
                digest = _digest(found)
        return replace(base, versions={**base.versions, "jobs": digest}, beat=_LOOK_EVERY)

    return request.stream(looker)


def _digest(jobs: Sequence[Job]) -> str:
    return hashlib.sha256(repr(jobs[:_MOST]).encode("utf-8", "replace")).hexdigest()[:16]


async def _ask(request: PageRequest, view: View) -> tuple[list[Job], list[Job]]:
    application = view.activity.session.spark_app_id or ""

    async def get(path: str) -> list[Mapping[str, Any]]:
        raw = await monitoring.spark_page(request.context, view.activity, application, path, {})
        found = json.loads(raw)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    return [_job(one) for one in await get("jobs")], [_stage(one) for one in await get("stages")]


def _job(one: Mapping[str, Any]) -> Job:
    group = _GROUP.fullmatch(str(one.get("jobGroup", "")))
    return Job(
        id=_int(one.get("jobId")),
        name=str(one.get("description") or one.get("name") or "")[:300],
        statement=int(group[2]) if group else None,
        repl=group[1] if group else None,
        state=_STATES.get(str(one.get("status")), _UNKNOWN),
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
        state=_STATES.get(str(one.get("status")), _UNKNOWN),
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
