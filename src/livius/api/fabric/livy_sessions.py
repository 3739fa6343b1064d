"""The monitoring API: Livy sessions of a workspace and of an item (Fabric contract 6.1)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from livius.api.addresses import own_url
from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.fabric.paging import LONGEST_TOKEN, decode_token, encode_token
from livius.api.moments import to_seconds
from livius.api.schemas import (
    Duration,
    LivySessionDocument,
    LivySessionPage,
    LivySessionState,
    Reference,
    Submitter,
)
from livius.domain.activity import Activity, ActivityState
from livius.domain.errors import Invalid
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.session import EndCause, Phase, Session
from livius.usecases import monitoring
from livius.usecases.catalog import get_workspace
from livius.usecases.context import Context, Rules
from livius.usecases.monitoring import Wanted

_PAGE: Final = 100
_GIB: Final = {"k": 1024**-2, "m": 1024**-1, "g": 1, "t": 1024}
_SIZE: Final = re.compile(r"(\d+)\s*([kmgt])i?b?", re.IGNORECASE)

_STATES: Final[Mapping[LivySessionState, frozenset[ActivityState]]] = {
    "NotStarted": frozenset({ActivityState.WAITING}),
    "InProgress": frozenset({ActivityState.RUNNING, ActivityState.STOPPING}),
    "Succeeded": frozenset({ActivityState.STOPPED}),
    "Cancelled": frozenset({ActivityState.CANCELLED}),
    "Failed": frozenset({ActivityState.FAILED, ActivityState.TIMED_OUT}),
    "Unknown": frozenset(),
}
"""Fabric's words for states: a session that timed out counts as failed."""
_WORDS: Final = {state: word for word, states in _STATES.items() for state in states}

_Size: TypeAlias = Literal[
    "driverMemory",
    "driverCores",
    "executorMemory",
    "executorCores",
    "numExecutors",
    "dynamicAllocationMaxExecutors",
]
Id = Annotated[str, Path(max_length=100)]
_OPERATIONS: Final = {False: "Session Livy Run", True: "High Concurrency Session Livy Run"}


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(
        prefix="/v1/workspaces/{workspace}",
        tags=["Fabric monitoring API"],
        route_class=DocumentedRoute,
    )

    @routes.get("/spark/livySessions")
    async def of_workspace(
        request: Request,
        caller: CurrentCaller,
        workspace: Id,
        asked: Annotated[_Asked, Depends()],
    ) -> Json[LivySessionPage]:
        """List the Livy sessions of a workspace, newest first, deleted ones too.

        ``submittedDateTime`` keeps those submitted then or later, ``endDateTime`` those that had
        ended by then.
        """
        return await _page(context, request, caller, workspace, asked.wanted(), asked)

    @routes.get("/lakehouses/{lakehouse}/livySessions")
    async def of_lakehouse(
        request: Request,
        caller: CurrentCaller,
        workspace: Id,
        lakehouse: Id,
        asked: Annotated[_Asked, Depends()],
    ) -> Json[LivySessionPage]:
        """List the Livy sessions of a lakehouse; the parameters are those of the workspace's."""
        return await _page(context, request, caller, workspace, asked.wanted(lakehouse), asked)

    @routes.get("/lakehouses/{lakehouse}/livySessions/{session}")
    async def get(
        caller: CurrentCaller, workspace: Id, lakehouse: Id, session: Id
    ) -> Json[LivySessionDocument]:
        """Return one Livy session."""
        found = await monitoring.get_activity(
            context, caller, workspace, session, lakehouse=lakehouse
        )
        return Json(livy_session(found, context))

    for kind in ("notebooks", "sparkJobDefinitions"):
        routes.add_api_route(f"/{kind}/{{item}}/livySessions", _of_others(context))
        routes.add_api_route(f"/{kind}/{{item}}/livySessions/{{session}}", _of_others(context))
    return routes


def _of_others(context: Context) -> Any:
    async def others(caller: CurrentCaller, workspace: Id, item: Id) -> Response:
        """Respond for items of a type that Livius doesn't have."""
        await get_workspace(context, caller, workspace)
        raise monitoring.no_item(item)

    return others


def _of(name: str, form: str) -> Any:
    """Return a parameter whose documented type is the one that the handler reads."""
    return Query(alias=name, max_length=100, json_schema_extra={"format": form})


class _Asked:
    """The parameters of a list. Fabric has its filters under ``beta=true``; here always."""

    def __init__(
        self,
        submitted: Annotated[str | None, _of("submittedDateTime", "date-time")] = None,
        ended: Annotated[str | None, _of("endDateTime", "date-time")] = None,
        submitter: Annotated[str | None, _of("submitter.Id", "uuid")] = None,
        state: Annotated[str | None, Query(max_length=40)] = None,
        most: Annotated[int, Query(alias="maxResults", ge=1, le=monitoring.MAX_PAGE)] = _PAGE,
        token: Annotated[
            str | None, Query(alias="continuationToken", max_length=LONGEST_TOKEN)
        ] = None,
    ) -> None:
        self._submitted_from = _moment(submitted, "submittedDateTime")
        self._ended_until = _moment(ended, "endDateTime")
        self._submitter = _guid(submitter, "submitter.Id")
        self._states = _states(state)
        self.most = most
        self.token = token

    def wanted(self, lakehouse: str | None = None) -> Wanted:
        """Return the filters, within a lakehouse or within all."""
        return Wanted(
            lakehouse=lakehouse,
            submitted_from=self._submitted_from,
            ended_until=self._ended_until,
            submitter=self._submitter,
            states=self._states,
        )


async def _page(
    context: Context,
    request: Request,
    caller: Principal,
    workspace: str,
    wanted: Wanted,
    asked: _Asked,
) -> Json[LivySessionPage]:
    """Return one page of a list, with the link to the next."""
    states = sorted(wanted.states) if wanted.states is not None else None
    scope = {
        "list": [workspace.lower(), (wanted.lakehouse or "").lower()],
        "filters": [states, wanted.submitter, wanted.submitted_from, wanted.ended_until],
    }
    page = await monitoring.list_activities(
        context,
        caller,
        workspace,
        wanted,
        after=decode_token(asked.token, scope) if asked.token else None,
        limit=asked.most,
    )
    following = uri = None
    if page.following is not None:
        following = encode_token(page.following, scope)
        uri = own_url(request, continuationToken=following)
    return Json(
        {
            "value": [livy_session(one, context) for one in page.activities],
            "continuationToken": following,
            "continuationUri": uri,
        }
    )


def _states(text: str | None) -> frozenset[ActivityState] | None:
    if not text:
        return None
    found = next((states for word, states in _STATES.items() if word.lower() == text.lower()), None)
    if found is None:
        raise Invalid(
            "InvalidInput", f"state is one of {', '.join(_STATES)}, not {text!r}.", field="state"
        )
    return found


def _moment(text: str | None, name: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # Without a zone it is UTC, which the documentation prescribes.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(
            "InvalidInput", f"{name} is a moment like 2026-01-31T12:00:00Z.", field=name
        ) from None


def _guid(text: str | None, name: str) -> str | None:
    try:
        return str(UUID(text)) if text else None
    except ValueError:
        raise Invalid("InvalidInput", f"{name} is a GUID.", field=name) from None


def livy_session(activity: Activity, context: Context) -> LivySessionDocument:
    """Return an activity as Fabric's ``LivySession``. Unknown values are left out."""
    session = activity.session
    submitter = _submitter(session)
    item: Reference = {
        "workspaceId": session.workspace,
        "itemId": session.lakehouse,
        "referenceType": "ById",
    }
    started, ended = session.times.get(Phase.READY), session.ended_at
    now = context.clock.now()
    body: LivySessionDocument = {
        "state": _WORDS[activity.state],
        "livyId": session.id,
        "origin": "PendingJob" if activity.state is ActivityState.WAITING else "SubmittedJob",
        "attemptNumber": 1,
        "maxNumberOfAttempts": 1,
        "livyName": session.name,
        "submitter": submitter,
        "consumerId": submitter,
        "item": item,
        "creatorItem": item,
        "itemName": activity.lakehouse_name,
        "itemType": "Lakehouse",
        "jobType": "SparkSession",
        "submittedDateTime": to_seconds(session.created_at),
        "queuedDuration": _duration((started or ended or now) - session.created_at),
        "runningDuration": _duration((ended or now) - started if started else timedelta()),
        "totalDuration": _duration((ended or now) - session.created_at),
        "jobInstanceId": session.id,
        "isHighConcurrency": session.is_shared,
        "operationName": _OPERATIONS[session.is_shared],
        "runtimeVersion": session.runtime,
        "livySessionItemResourceUri": "",
        "isDynamicAllocationEnabled": (
            session.conf.get("spark.dynamicAllocation.enabled", "false").lower() == "true"
        ),
    }
    if session.spark_app_id is not None:
        body["sparkApplicationId"] = session.spark_app_id
    if started is not None:
        body["startDateTime"] = to_seconds(started)
    if ended is not None:
        body["endDateTime"] = to_seconds(ended)
    if session.end_reason is not None and _was_ended(session):
        body["cancellationReason"] = session.end_reason
    _add_sizes(body, session, context.rules)
    return body


def _submitter(session: Session) -> Submitter:
    match session.submitter_kind:
        case None:
            return {"id": session.submitter}
        case PrincipalKind.APP:
            return {"id": session.submitter, "type": "ServicePrincipal"}
        case PrincipalKind.USER:
            return {"id": session.submitter, "type": "User"}


def _was_ended(session: Session) -> bool:
    return session.end_cause in (
        EndCause.DELETED,
        EndCause.STOPPED_BY_CODE,
        EndCause.IDLE,
        EndCause.GATEWAY_SHUTDOWN,
    )


def _add_sizes(body: LivySessionDocument, session: Session, rules: Rules) -> None:
    """Add the requested sizes of driver and executors, else the effective ones."""
    asked = session.request
    no_executors = 0 if rules.local else None
    most = session.conf.get("spark.dynamicAllocation.maxExecutors", "")
    sizes: Mapping[_Size, int | None] = {
        "driverMemory": _gigabytes(asked.get("driverMemory") or rules.driver_memory),
        "driverCores": asked.get("driverCores") or rules.driver_cores,
        "executorMemory": _gigabytes(asked.get("executorMemory")) or no_executors,
        "executorCores": asked.get("executorCores") or no_executors,
        "numExecutors": asked.get("numExecutors") or no_executors,
        "dynamicAllocationMaxExecutors": int(most) if most.isdecimal() else None,
    }
    for name, size in sizes.items():
        if size is not None:
            body[name] = size


def _gigabytes(size: object) -> int | None:
    """Return a size like 56g in whole gigabytes, as the monitoring API counts; at least one."""
    found = _SIZE.fullmatch(str(size))
    return math.ceil(int(found[1]) * _GIB[found[2].lower()]) if found else None


def _duration(span: timedelta) -> Duration:
    return {"value": max(0, round(span.total_seconds())), "timeUnit": "Seconds"}
