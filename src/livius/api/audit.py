"""The audit log of a workspace, at an address of Livius's own; Fabric's is elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from livius.api.audit_document import audit_document
from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.schemas import AuditPage
from livius.domain.audit import Action
from livius.usecases.audit import read_audit
from livius.usecases.context import Context

_PAGE: Final = 100
_MAX_PAGE: Final = 1000

Id = Annotated[str, Path(max_length=100)]


def router(context: Context) -> APIRouter:
    """Return the route over one core."""
    routes = APIRouter(tags=["Livius"], route_class=DocumentedRoute)

    @routes.get("/v1/workspaces/{workspace}/auditLog")
    async def audit(
        caller: CurrentCaller,
        workspace: Id,
        session: Annotated[str | None, Query(alias="sessionId", max_length=100)] = None,
        by: Annotated[str | None, Query(alias="actorId", max_length=100)] = None,
        action: Action | None = None,
        since: datetime | None = None,
        before: Annotated[int | None, Query(ge=0, le=2**62)] = None,
        most: Annotated[int, Query(alias="maxResults", ge=1, le=_MAX_PAGE)] = _PAGE,
    ) -> Json[AuditPage]:
        """Return the audit records of a workspace, newest first, to its Admins.

        A page has records below the number ``before``; the response has the next page's. ``since``
        is a moment in ISO 8601; one without a zone is UTC.
        """
        found = await read_audit(
            context,
            caller,
            workspace,
            session=session,
            by=by,
            action=action,
            since=since,
            before=before,
            limit=most,
        )
        body: AuditPage = {"value": [audit_document(record) for record in found]}
        if len(found) == most:
            body["before"] = found[-1].number
        return Json(body)

    return routes
