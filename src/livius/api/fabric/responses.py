"""Response bodies (Fabric contract 1.4, 1.7, 2.3, 2.5).

An absent object is left out, never null: clients of Fabric's reach into what they find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from livius.api.fabric.states import session_state, statement_state
from livius.api.moments import to_milliseconds
from livius.api.schemas import (
    JobDocument,
    JobsDocument,
    SessionDocument,
    SessionError,
    SessionItem,
    SessionPage,
    StageDocument,
    StatementDocument,
    StatementOutput,
    StatementPage,
)
from livius.domain.jobs import SparkJob, SparkStage, StatementJobs
from livius.domain.session import EndCause, Phase, Session
from livius.domain.statement import FINAL, Statement
from livius.domain.statement import Phase as StatementPhase
from livius.usecases.queue import QueuePlace
from livius.usecases.sessions import SessionView
from livius.usecases.statement_reads import StatementView

_Value = TypeVar("_Value")


def session_body(view: SessionView) -> SessionDocument:
    """Return one session."""
    session = view.session
    words = session_state(
        session, busy=view.busy, queued=view.queue is not None, packaging=view.packaging
    )
    times = session.times
    ended = session.ended_at
    body: SessionDocument = {
        "id": session.id,
        "name": session.name,
        "appInfo": _present({"sparkUiUrl": session.ui_url, **_prefixed(session)}),
        "workspaceId": session.workspace,
        "artifactId": session.lakehouse,
        "jobType": "SparkSession",
        "submitterId": session.submitter,
        "submitterName": session.submitter_name,
        "state": words.state,
        "fabricSessionStateInfo": {
            "state": words.fabric,
            "errorMessage": session.end_reason or "" if words.fabric == "error" else "",
        },
        "schedulerInfo": _times(
            {
                "submittedAt": session.created_at,
                "queuedAt": session.created_at,
                "scheduledAt": times.get(Phase.LAUNCHING),
                "endedAt": ended,
                "cancellationRequestedAt": times.get(Phase.STOPPING),
            }
        )
        | {"currentState": words.scheduler},
        "pluginInfo": _times(
            {
                "preparationStartedAt": session.created_at,
                "resourceAcquisitionStartedAt": session.created_at,
                "submissionStartedAt": times.get(Phase.LAUNCHING),
                "monitoringStartedAt": times.get(Phase.READY),
                "cleanupStartedAt": times.get(Phase.STOPPING),
            }
        )
        | {"currentState": words.plugin},
        "errorInfo": _errors(session, words.result),
        "log": list(session.log),
        "tags": {**session.tags, **waiting_tags(view.queue, view.building)},
        "result": words.result,
    }
    if session.spark_app_id is not None:
        body["appId"] = session.spark_app_id
    if words.livy is not None:
        body["livyInfo"] = _livy_info(session, words.livy, ended)
    if words.result != "Failed" and session.end_cause is not None and session.end_reason:
        body["cancellationReason"] = session.end_reason
    return body


def waiting_tags(place: QueuePlace | None, building: str | None) -> dict[str, str]:
    """Return the tags of a session that waits: its place, and why; or its runtime's build."""
    tags = {} if building is None else {"RuntimeBuild": building}
    if place is not None:
        tags |= {"QueuePosition": place.position, "QueueReason": place.reason}
    return tags


def _prefixed(session: Session) -> dict[str, str]:
    """Name the versions beside the links: classic Livy's map is open, and so is Fabric's."""
    return {f"{name}Version": version for name, version in session.versions.items()}


def _livy_info(session: Session, current: str, ended: datetime | None) -> dict[str, Any]:
    times = session.times
    moments = {
        "notStartedAt": session.created_at,
        "startingAt": times.get(Phase.LAUNCHING),
        "idleAt": times.get(Phase.READY),
        "shuttingDownAt": times.get(Phase.STOPPING),
    }
    if current in ("dead", "killed"):
        moments[f"{current}At"] = ended
    return {
        "currentState": current,
        "jobCreationRequest": {"name": session.name, **session.request},
        **_times(moments),
    }


def _errors(session: Session, result: str) -> list[SessionError]:
    if result != "Failed" or session.end_reason is None:
        return []
    died = session.phase is Phase.DIED or session.end_cause is EndCause.DRIVER_REFUSED
    return [
        {
            "message": session.end_reason,
            "errorCode": "SparkDriverDied" if died else "SparkSessionStartFailed",
            "source": "Unknown" if died else "System",
        }
    ]


def activity_body(view: SessionView) -> SessionItem:
    """Return one session as an item of a list, where its state is called ``livyState``.

    Clients of the classic envelope read ``state``.
    """
    session = view.session
    words = session_state(
        session, busy=view.busy, queued=view.queue is not None, packaging=view.packaging
    )
    body: SessionItem = {
        "id": session.id,
        "name": session.name,
        "workspaceId": session.workspace,
        "artifactId": session.lakehouse,
        "submitterId": session.submitter,
        "submitterName": session.submitter_name,
        "submittedAt": to_milliseconds(session.created_at),
        "schedulerState": words.scheduler,
        "pluginState": words.plugin,
        "livyState": words.state,
        "state": words.state,
        "result": words.result,
        "isJobTimedOut": session.end_cause is EndCause.IDLE,
    }
    if session.spark_app_id is not None:
        body["appId"] = session.spark_app_id
    if (started := session.times.get(Phase.READY)) is not None:
        body["startedAt"] = to_milliseconds(started)
    if session.ended_at is not None:
        body["endedAt"] = to_milliseconds(session.ended_at)
    if tags := waiting_tags(view.queue, view.building):
        body["tags"] = tags
    for error in _errors(session, words.result):
        body["errorSource"], body["errorCode"] = error["source"], error["errorCode"]
    return body


def activities_body(views: Sequence[SessionView], *, total: int) -> SessionPage:
    """Return a page of a list, under both names that clients look for (Fabric contract 1.7)."""
    items = [activity_body(view) for view in views]
    return {
        "items": items,
        "sessions": items,
        "totalCountOfMatchedItems": total,
        "pageSize": len(items),
    }


def statement_body(view: StatementView) -> StatementDocument:
    """Return one statement. Before its end only requests with a window get ``output``."""
    statement = view.statement
    body: StatementDocument = {
        "id": statement.number,
        "code": statement.code,
        "kind": statement.kind.value,
        "state": statement_state(statement.phase),
        "progress": statement.progress,
    }
    if statement.source_id is not None:
        body["sourceId"] = statement.source_id
    if statement.started_at is not None:
        body["started"] = _unix_milliseconds(statement.started_at)
    if statement.ended_at is not None:
        body["completed"] = _unix_milliseconds(statement.ended_at)
    if statement.phase in FINAL:
        body["output"] = _output(statement, view)
    elif view.text:
        body["output"] = _ok(statement, {"text/plain": view.text})
    return body


def _output(statement: Statement, view: StatementView) -> StatementOutput:
    """Return a finished statement's output.

    On an error there is no ``data`` at all: the documented sample takes any ``data`` for a result.
    """
    ending = statement.ending
    if ending is None:
        raise AssertionError("a final statement has an ending")
    if ending.ok and statement.phase is StatementPhase.AVAILABLE:
        data: dict[str, Any] = {}
        plain = shown_text(view)
        if plain or ending.with_text:
            data["text/plain"] = plain
        return _ok(statement, data | _parts(view.data))
    output: StatementOutput = {
        "status": "error",
        "execution_count": statement.number,
        "ename": ending.ename or "Error",
        "evalue": ending.evalue or "",
        "traceback": list(ending.traceback),
    }
    if view.text:
        output["stdout"] = view.text
    return output


def _parts(data: bytes | None) -> dict[str, Raw]:
    """Return each value of a statement's data unchanged."""
    return msgspec.json.decode(data, type=dict[str, Raw]) if data else {}


def shown_text(view: StatementView) -> str:
    """Return a view's text as its ``text/plain``.

    Clients join windows, so nothing is stripped from their ends, nor from an error's output.
    """
    ending = view.statement.ending
    is_result = ending is not None and ending.ok
    return view.text.rstrip() if view.whole and is_result else view.text


def _ok(statement: Statement, data: dict[str, Any]) -> StatementOutput:
    return {"status": "ok", "execution_count": statement.number, "data": data}


def statements_body(views: Sequence[StatementView], *, total: int) -> StatementPage:
    """Return a page of a session's statements."""
    return {"statements": [statement_body(view) for view in views], "total_statements": total}


def jobs_body(found: StatementJobs) -> JobsDocument:
    """Return a statement's Spark jobs, with Spark's REST API's own names."""
    return {"jobs": [_job(job) for job in found.jobs], "total_jobs": found.total}


def _job(job: SparkJob) -> JobDocument:
    body: JobDocument = {
        "jobId": job.id,
        "name": job.name,
        "status": job.status,
        "numTasks": job.tasks,
        "numCompletedTasks": job.done,
        "numActiveTasks": job.active,
        "numFailedTasks": job.failed,
        "numSkippedTasks": job.skipped,
        "stages": [_stage(stage) for stage in job.stages],
    }
    if job.started_at is not None:
        body["submissionTime"] = to_milliseconds(job.started_at)
    if job.ended_at is not None:
        body["completionTime"] = to_milliseconds(job.ended_at)
    return body


def _stage(stage: SparkStage) -> StageDocument:
    return {
        "stageId": stage.id,
        "attemptId": stage.attempt,
        "name": stage.name,
        "status": stage.status,
        "numTasks": stage.tasks,
        "numCompleteTasks": stage.done,
        "numActiveTasks": stage.active,
        "numFailedTasks": stage.failed,
    }


def _present(fields: Mapping[str, _Value | None]) -> dict[str, _Value]:
    return {name: value for name, value in fields.items() if value is not None}


def _times(fields: Mapping[str, datetime | None]) -> dict[str, str]:
    return {name: to_milliseconds(moment) for name, moment in fields.items() if moment is not None}


def _unix_milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
