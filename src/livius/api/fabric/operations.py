"""Fabric's REST for long-running operations (Fabric contract 7.7).

A request that begins one answers 202 without a body; its headers name the operation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from livius.api.addresses import own_link
from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.fabric.environment_documents import publish_result
from livius.api.long_poll import asked_long_poll, note_wait, unless_gone
from livius.api.moments import to_milliseconds
from livius.api.schemas import OperationDocument, OperationStatus
from livius.domain.operation import Operation, OperationKind, Phase
from livius.usecases import operations
from livius.usecases.context import Context

Id = Annotated[str, Path(max_length=100)]

_STATUS: Final[Mapping[Phase, OperationStatus]] = {
    Phase.NOT_STARTED: "NotStarted",
    Phase.RUNNING: "Running",
    Phase.SUCCEEDED: "Succeeded",
    Phase.FAILED: "Failed",
}
_RESULTS: Final[Mapping[OperationKind, Callable[[Context, Operation], Awaitable[Any]]]] = {
    OperationKind.PUBLISH_ENVIRONMENT: publish_result,
}
"""The document of each kind's result."""
_RETRY_AFTER: Final = 1
"""Seconds: a client waits for them before each request, and each is a long poll."""


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(
        prefix="/v1/operations", tags=["Fabric operations"], route_class=DocumentedRoute
    )

    @routes.get("/{operation}")
    async def get(
        request: Request, caller: CurrentCaller, operation: Id
    ) -> Json[OperationDocument]:
        """Return the state of an operation; while it runs, after a moment."""
        wait = asked_long_poll(request, context.rules.long_poll)
        found = await unless_gone(
            request, operations.get_operation(context, caller, operation, long_poll=wait)
        )
        return note_wait(Json(_body(found), headers=_headers(request, found)), wait)

    @routes.get("/{operation}/result")
    async def result(caller: CurrentCaller, operation: Id) -> Json[dict[str, Any]]:
        """Return the document that a successful operation led to."""
        found = await operations.get_finished(context, caller, operation)
        return Json(await _RESULTS[found.kind](context, found))

    return routes


def accepted(request: Request, operation: Operation) -> Response:
    """Return the response to a request that began an operation."""
    return Response(status_code=202, headers=_headers(request, operation))


def _headers(request: Request, operation: Operation) -> dict[str, str]:
    """Return where to look next: at the operation while it runs, then at its result."""
    path = f"/v1/operations/{operation.id}"
    headers: dict[str, str] = {"x-ms-operation-id": operation.id}
    if operation.is_live:
        headers["Retry-After"] = str(_RETRY_AFTER)
    elif operation.result is not None:
        path += "/result"
    return {**headers, "Location": own_link(request, path)}


def _body(operation: Operation) -> OperationDocument:
    body: OperationDocument = {
        "status": _STATUS[operation.phase],
        "createdTimeUtc": to_milliseconds(operation.created_at),
        "lastUpdatedTimeUtc": to_milliseconds(operation.updated_at),
        "percentComplete": operation.percent,
    }
    if operation.error_code is not None:
        body["error"] = {
            "errorCode": operation.error_code,
            "message": operation.error_message or "",
        }
    return body
