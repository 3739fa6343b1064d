"""The audit log: what to write down of an act, and who may read it."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from livius.domain.audit import Action, AuditEntry, AuditRecord, actor, entry
from livius.domain.errors import Forbidden
from livius.domain.identity import Principal
from livius.domain.ids import PrincipalId, SessionId
from livius.domain.lakehouse import Role
from livius.domain.permissions import MONITOR
from livius.domain.session import Session
from livius.ports.store import AuditQuery
from livius.usecases.access import enter_workspace
from livius.usecases.context import Context


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from."""

    address: str | None = None
    request_id: str | None = None


ORIGIN: Final[ContextVar[Origin | None]] = ContextVar("origin", default=None)
"""Set by whoever takes requests, for as long as one is handled."""


def by_caller(
    context: Context,
    caller: Principal,
    session: Session,
    action: Action,
    *,
    target: str | None = None,
    code: str | None = None,
) -> AuditEntry:
    """Return what to write of an act of a caller on a session."""
    origin = ORIGIN.get() or Origin()
    return entry(
        session,
        action,
        at=context.clock.now(),
        result="accepted",
        by=actor(caller, address=origin.address, request_id=origin.request_id),
        target=target,
        code=code,
    )


async def read_audit(
    context: Context,
    caller: Principal,
    workspace: str,
    *,
    session: str | None = None,
    by: str | None = None,
    before: int | None = None,
    limit: int,
) -> Sequence[AuditRecord]:
    """Return up to ``limit`` records of a workspace, newest first, from below ``before``.

    Raises:
        NotFound: there is no such workspace.
        Forbidden: the caller is not one of its Admins.
    """
    found, role = await enter_workspace(context, caller, workspace, MONITOR)
    if role is not Role.ADMIN:
        raise Forbidden(
            "InsufficientWorkspaceRole",
            f"The audit log is for the workspace's Admins; {caller.name} has the role {role}.",
        )
    return await context.store.audit(
        AuditQuery(
            workspace=found.id,
            session=SessionId(session.lower()) if session else None,
            actor=PrincipalId(by.lower()) if by else None,
            before=before,
            limit=limit,
        )
    )
