"""The audit log of a workspace. Fabric has its own elsewhere; this address is Livius's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response

from livius.api.auth import CurrentCaller
from livius.domain.audit import AuditRecord
from livius.usecases.audit import read_audit
from livius.usecases.context import Context

_PAGE: Final = 100
_MAX_PAGE: Final = 1000

Id = Annotated[str, Path(max_length=100)]


def router(context: Context) -> APIRouter:
    """Return the route over one core."""
    routes = APIRouter(tags=["Livius"])

    @routes.get("/v1/workspaces/{workspace}/auditLog")
    async def audit(
        caller: CurrentCaller,
        workspace: Id,
        session: Annotated[str | None, Query(alias="sessionId", max_length=100)] = None,
        by: Annotated[str | None, Query(alias="actorId", max_length=100)] = None,
        before: Annotated[int | None, Query(ge=0, le=2**62)] = None,
        most: Annotated[int, Query(alias="maxResults", ge=1, le=_MAX_PAGE)] = _PAGE,
    ) -> Response:
        """Return who did what in a workspace, newest first. For its Admins.

        ``before`` is the number below which to go on; the next page's is in the answer.
        """
        found = await read_audit(
            context, caller, workspace, session=session, by=by, before=before, limit=most
        )
        body: dict[str, Any] = {"value": [_record(record) for record in found]}
        if len(found) == most:
            body["before"] = found[-1].number
        return JSONResponse(body)

    return routes


def _record(record: AuditRecord) -> dict[str, Any]:
    entry, by = record.entry, record.entry.actor
    body = {
        "number": record.number,
        "at": _text(entry.at),
        "action": entry.action.value,
        "result": entry.result,
        "workspaceId": entry.workspace,
        "lakehouseId": entry.lakehouse,
        "sessionId": entry.session,
        "statement": entry.target,
        "codeSha256": entry.code_hash,
        "codeHead": entry.code_head,
    }
    if by is not None:
        body |= {
            "actorId": by.id,
            "actorName": by.name,
            "actorKind": by.kind.value,
            "clientId": by.client_id,
            "address": by.address,
            "requestId": by.request_id,
        }
    return {name: value for name, value in body.items() if value is not None}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
