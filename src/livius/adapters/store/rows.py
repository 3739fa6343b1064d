"""Conversions between rows and the domain's values."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row

from livius.domain.activity import activity_state, duration_key
from livius.domain.driver import Driver
from livius.domain.driver import Goal as DriverGoal
from livius.domain.driver import Owner as DriverOwner
from livius.domain.driver import Phase as DriverPhase
from livius.domain.high_concurrency import HighConcurrencySession, Sharing
from livius.domain.jobs import SparkJob, SparkStage, StatementJobs
from livius.domain.lakehouse import Lakehouse, Workspace
from livius.domain.outline import StatementMark
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.repl import Phase as ReplPhase
from livius.domain.repl import Repl
from livius.domain.session import EndCause, Goal, Session
from livius.domain.session import Phase as SessionPhase
from livius.domain.statement import Ending, Kind, Statement
from livius.domain.statement import Phase as StatementPhase
from livius_agent.text import json_bytes

_MOMENTS: Final = ("started_at", "ended_at")
"""Of jobs and stages."""


def session_row(session: Session) -> dict[str, Any]:
    """Return the column values of a session."""
    values = {entry.name: getattr(session, entry.name) for entry in dataclasses.fields(session)}
    return encode_session(values) | listed(session)


def listed(session: Session) -> dict[str, Any]:
    """Return the columns that are derived from the others, for lists."""
    return {
        "state": activity_state(session),
        "ended_at": session.ended_at,
        "duration_key": duration_key(session),
    }


def encode_session(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return column values for some or all fields of a session, by their field names."""
    row = dict(values)
    if "idle_timeout" in row:
        row["idle_seconds"] = row.pop("idle_timeout").total_seconds()
    if "times" in row:
        row["times"] = {phase: at.isoformat() for phase, at in row["times"].items()}
    for name in ("conf", "tags", "request", "versions"):
        if name in row:
            row[name] = dict(row[name])
    if "log" in row:
        row["log"] = list(row["log"])
    if "sharing" in row:
        sharing = row.pop("sharing")
        row["sharing_key"] = sharing and sharing.key
        row["sharing_limit"] = sharing and sharing.limit
    if row.get("token_principal") is not None:
        row["token_principal"] = principal_row(row["token_principal"])
    return row


def principal_row(principal: Principal) -> dict[str, Any]:
    """Return a principal as JSON."""
    sets = {"scopes": sorted(principal.scopes), "roles": sorted(principal.roles)}
    return {**dataclasses.asdict(principal), **sets}


def principal_of(row: Mapping[str, Any]) -> Principal:
    """Return the principal in JSON."""
    sets = {name: frozenset(row[name]) for name in ("scopes", "roles")}
    return Principal(**{**row, **sets, "kind": PrincipalKind(row["kind"])})


def session_of(row: Row[Any]) -> Session:
    """Return the session in a row."""
    return session_from(row._asdict())


def session_from(values: dict[str, Any]) -> Session:
    """Return the session in a row's columns, which are consumed."""
    values["idle_timeout"] = timedelta(seconds=values.pop("idle_seconds"))
    del values["state"], values["ended_at"], values["duration_key"]
    key, limit = values.pop("sharing_key"), values.pop("sharing_limit")
    values["sharing"] = None if key is None else Sharing(key=key, limit=limit)
    kind = values["submitter_kind"]
    values["submitter_kind"] = PrincipalKind(kind) if kind else None
    values["times"] = {
        SessionPhase(phase): datetime.fromisoformat(at) for phase, at in values["times"].items()
    }
    values["goal"] = Goal(values["goal"])
    values["phase"] = SessionPhase(values["phase"])
    values["end_cause"] = EndCause(values["end_cause"]) if values["end_cause"] else None
    values["log"] = tuple(values["log"])
    values["token_principal"] = (
        principal_of(values["token_principal"]) if values["token_principal"] else None
    )
    return Session(**values)


def statement_of(row: Row[Any]) -> Statement:
    """Return the statement in a row."""
    values = row._asdict()
    for derived in ("ok", "row_count"):
        del values[derived]
    values["kind"] = Kind(values["kind"])
    values["phase"] = StatementPhase(values["phase"])
    ending = values["ending"]
    if ending is not None:
        traceback, data = tuple(ending["traceback"]), ending["data"]
        if data is not None:
            # Earlier versions stored it parsed.
            data = data.encode() if isinstance(data, str) else json_bytes(data)
        values["ending"] = Ending(**{**ending, "traceback": traceback, "data": data})
    return Statement(**values)


def statement_row(statement: Statement) -> dict[str, Any]:
    """Return the column values of a statement."""
    values = {entry.name: getattr(statement, entry.name) for entry in dataclasses.fields(statement)}
    return {**values, **ending_columns(statement.ending)}


def ending_columns(ending: Ending | None) -> dict[str, Any]:
    """Return the columns of an ending: itself, and what outlines need of it."""
    return {
        "ending": ending_row(ending),
        "ok": None if ending is None else ending.ok,
        "row_count": None if ending is None else ending.rows,
    }


def ending_row(ending: Ending | None) -> dict[str, Any] | None:
    """Return an ending as JSON."""
    if ending is None:
        return None
    data = None if ending.data is None else ending.data.decode()
    return {**dataclasses.asdict(ending), "data": data}


def jobs_columns(jobs: StatementJobs) -> dict[str, Any]:
    """Return the columns of a statement's jobs: JSON, and their numbers."""
    row = dataclasses.asdict(jobs)
    for one in (*row["jobs"], *(stage for job in row["jobs"] for stage in job["stages"])):
        for name in _MOMENTS:
            one[name] = one[name].isoformat() if one[name] else None
    ends = Counter(job.status for job in jobs.jobs)
    return {
        "jobs": row,
        "total": jobs.total,
        "failed": ends["FAILED"],
        "cancelled": ends["CANCELLED"],
    }


def jobs_of(row: Mapping[str, Any] | None) -> StatementJobs:
    """Return a statement's jobs from JSON; None stands for none."""
    if row is None:
        return StatementJobs()
    return StatementJobs(total=row["total"], jobs=tuple(_job(job) for job in row["jobs"]))


def _job(values: Mapping[str, Any]) -> SparkJob:
    stages = tuple(SparkStage(**{**stage, **_moments(stage)}) for stage in values["stages"])
    return SparkJob(**{**values, **_moments(values), "stages": stages})


def _moments(values: Mapping[str, Any]) -> dict[str, datetime]:
    """Return the moments in JSON; earlier versions stored none of stages."""
    return {name: datetime.fromisoformat(values[name]) for name in _MOMENTS if values.get(name)}


def mark_of(row: Row[Any]) -> StatementMark:
    """Return the mark in a row of an outline."""
    return StatementMark(
        repl=row.repl,
        number=row.number,
        phase=StatementPhase(row.phase),
        started_at=row.started_at,
        ended_at=row.ended_at,
        ok=row.ok,
        rows=row.row_count,
    )


def repl_of(row: Row[Any]) -> Repl:
    """Return the repl in a row."""
    values = row._asdict()
    return Repl(**{**values, "phase": ReplPhase(values["phase"])})


def high_concurrency_of(row: Row[Any]) -> HighConcurrencySession:
    """Return the high-concurrency session in a row."""
    return HighConcurrencySession(**row._asdict())


def driver_of(row: Row[Any]) -> Driver:
    """Return the driver in a row."""
    values = row._asdict()
    values["owner"] = DriverOwner(values["owner"])
    values["goal"] = DriverGoal(values["goal"])
    values["phase"] = DriverPhase(values["phase"])
    return Driver(**values)


def workspace_of(row: Row[Any]) -> Workspace:
    """Return the workspace in a row."""
    return Workspace(
        id=row.id, name=row.name, created_at=row.created_at, description=row.description
    )


def lakehouse_of(row: Row[Any]) -> Lakehouse:
    """Return the lakehouse in a row."""
    return Lakehouse(
        id=row.id,
        workspace=row.workspace,
        name=row.name,
        database=row.database,
        created_at=row.created_at,
        description=row.description,
        has_schemas=row.has_schemas,
    )
