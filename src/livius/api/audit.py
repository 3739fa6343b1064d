"""The audit log of a workspace. Fabric has its own elsewhere; this address is Livius's."""

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
        """Return who did what in a workspace, newest first. For its Admins.

        ``before`` is the number below which to go on; the next page's is in the answer. ``since``
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
