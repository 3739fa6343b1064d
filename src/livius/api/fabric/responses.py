"""Response bodies (Fabric contract 1.4, 1.7, 2.3, 2.5).

An absent object is left out, never null: clients of Fabric's reach into what they find.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from livius.api.fabric.states import session_state, statement_state
from livius.domain.jobs import SparkJob, StatementJobs
from livius.domain.session import EndCause, Phase, Session
from livius.domain.statement import FINAL, Statement
from livius.domain.statement import Phase as StatementPhase
from livius.usecases.sessions import SessionView
from livius.usecases.statement_reads import StatementView


def session_body(view: SessionView) -> dict[str, Any]:
    """Return one session."""
    session = view.session
    words = session_state(session, busy=view.busy)
    times = session.times
    ended = session.ended_at
    body: dict[str, Any] = {
        "id": session.id,
        "name": session.name,
        "appId": session.spark_app_id,
        "appInfo": _present(
            {"sparkUiUrl": session.ui_url, "driverLogUrl": None, **_prefixed(session)}
        ),
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
        "schedulerInfo": _present(
            {
                "submittedAt": _text(session.created_at),
                "queuedAt": _text(session.created_at),
                "scheduledAt": _text(times.get(Phase.LAUNCHING)),
                "endedAt": _text(ended),
                "cancellationRequestedAt": _text(times.get(Phase.STOPPING)),
                "currentState": words.scheduler,
            }
        ),
        "pluginInfo": _present(
            {
                "preparationStartedAt": _text(session.created_at),
                "resourceAcquisitionStartedAt": _text(session.created_at),
                "submissionStartedAt": _text(times.get(Phase.LAUNCHING)),
                "monitoringStartedAt": _text(times.get(Phase.READY)),
                "cleanupStartedAt": _text(times.get(Phase.STOPPING)),
                "currentState": words.plugin,
            }
        ),
        "errorInfo": _errors(session, words.result),
        "log": list(session.log),
        "tags": dict(session.tags),
        "result": words.result,
    }
    if words.livy is not None:
        body["livyInfo"] = _livy_info(session, words.livy, ended)
    if words.result != "Failed" and session.end_cause is not None:
        body["cancellationReason"] = session.end_reason
    return _present(body)


def _prefixed(session: Session) -> dict[str, str]:
    """Name the versions beside the links: classic Livy's map is open, and so is Fabric's."""
    return {f"{name}Version": version for name, version in session.versions.items()}


def _livy_info(session: Session, current: str, ended: datetime | None) -> dict[str, Any]:
    times = session.times
    return _present(
        {
            "currentState": current,
            "jobCreationRequest": {"name": session.name, **session.request},
            "notStartedAt": _text(session.created_at),
            "startingAt": _text(times.get(Phase.LAUNCHING)),
            "idleAt": _text(times.get(Phase.READY)),
            "shuttingDownAt": _text(times.get(Phase.STOPPING)),
            f"{current}At": _text(ended) if current in ("dead", "killed") else None,
        }
    )


def _errors(session: Session, result: str) -> list[dict[str, str]]:
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


def activity_body(view: SessionView) -> dict[str, Any]:
    """Return one session as an item of a list, where its state is called ``livyState``.

    ``state`` is there for those clients that read the classic envelope.
    """
    session = view.session
    words = session_state(session, busy=view.busy)
    errors = _errors(session, words.result)
    return _present(
        {
            "id": session.id,
            "appId": session.spark_app_id,
            "name": session.name,
            "workspaceId": session.workspace,
            "artifactId": session.lakehouse,
            "submitterId": session.submitter,
            "submitterName": session.submitter_name,
            "submittedAt": _text(session.created_at),
            "startedAt": _text(session.times.get(Phase.READY)),
            "endedAt": _text(session.ended_at),
            "schedulerState": words.scheduler,
            "pluginState": words.plugin,
            "livyState": words.state,
            "state": words.state,
            "result": words.result,
            "errorSource": errors[0]["source"] if errors else None,
            "errorCode": errors[0]["errorCode"] if errors else None,
            "isJobTimedOut": session.end_cause is EndCause.IDLE,
        }
    )


def activities_body(views: Sequence[SessionView], *, total: int) -> dict[str, Any]:
    """Return a page of a list, under both names that clients look for (Fabric contract 1.7)."""
    items = [activity_body(view) for view in views]
    return {
        "items": items,
        "sessions": items,
        "totalCountOfMatchedItems": total,
        "pageSize": len(items),
    }


def statement_body(view: StatementView) -> dict[str, Any]:
    """Return one statement. Before it ends there is no ``output`` but for who reads along."""
    statement = view.statement
    body: dict[str, Any] = {
        "id": statement.number,
        "code": statement.code,
        "kind": statement.kind.value,
        "state": statement_state(statement.phase),
        "sourceId": statement.source_id,
        "progress": statement.progress,
        "started": _milliseconds(statement.started_at),
        "completed": _milliseconds(statement.ended_at),
    }
    if statement.phase in FINAL:
        body["output"] = _output(statement, view)
    elif view.text:
        body["output"] = _ok(statement, {"text/plain": view.text})
    return _present(body)


def _output(statement: Statement, view: StatementView) -> dict[str, Any]:
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
    output: dict[str, Any] = {
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
    """Return each value of a statement's data as it came."""
    return msgspec.json.decode(data, type=dict[str, Raw]) if data else {}


def shown_text(view: StatementView) -> str:
    """Return a view's text as its ``text/plain``.

    Windows are put together again, so nothing is taken from their ends, nor from an error's output.
    """
    ending = view.statement.ending
    is_result = ending is not None and ending.ok
    return view.text.rstrip() if view.whole and is_result else view.text


def _ok(statement: Statement, data: dict[str, Any]) -> dict[str, Any]:
    return {"status": "ok", "execution_count": statement.number, "data": data}


def statements_body(views: Sequence[StatementView], *, total: int) -> dict[str, Any]:
    """Return a page of a session's statements."""
    return {"statements": [statement_body(view) for view in views], "total_statements": total}


def jobs_body(found: StatementJobs) -> dict[str, Any]:
    """Return a statement's Spark jobs, with Spark's REST API's own names."""
    return {"jobs": [_job(job) for job in found.jobs], "total_jobs": found.total}


def _job(job: SparkJob) -> dict[str, Any]:
    return _present(
        {
            "jobId": job.id,
            "name": job.name,
            "status": job.status,
            "submissionTime": _text(job.started_at),
            "completionTime": _text(job.ended_at),
            "numTasks": job.tasks,
            "numCompletedTasks": job.done,
            "numActiveTasks": job.active,
            "numFailedTasks": job.failed,
            "numSkippedTasks": job.skipped,
            "stages": [
                {
                    "stageId": stage.id,
                    "attemptId": stage.attempt,
                    "name": stage.name,
                    "status": stage.status,
                    "numTasks": stage.tasks,
                    "numCompleteTasks": stage.done,
                    "numActiveTasks": stage.active,
                    "numFailedTasks": stage.failed,
                }
                for stage in job.stages
            ],
        }
    )


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
