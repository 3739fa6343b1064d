"""The audit log: entries for acts on sessions and for refusals, and reading the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from livius.domain.audit import Action, AuditEntry, AuditRecord, entry
from livius.domain.errors import Forbidden, Invalid, LiviusError
from livius.domain.ids import PrincipalId, SessionId, WorkspaceId
from livius.domain.lakehouse import Role
from livius.domain.permissions import MONITOR
from livius.domain.principal import Principal
from livius.domain.session import Session
from livius.ports.store import AuditQuery
from livius.usecases.access import enter_workspace
from livius.usecases.audit_throttle import act, present_actor
from livius.usecases.context import Context

_GUID: Final = 36

_log = structlog.get_logger(__name__)


def by_caller(
    context: Context,
    caller: Principal,
    session: Session,
    action: Action,
    *,
    target: str | None = None,
    code: str | None = None,
) -> AuditEntry:
    """Return the entry for a caller's act on a session."""
    return entry(
        session,
        action,
        at=context.clock.now(),
        result="accepted",
        by=present_actor(caller),
        target=target,
        code=code,
    )


async def note_refusal(
    context: Context, what: str, error: LiviusError, caller: Principal | None, workspace: str
) -> None:
    """Record a refused request.

    It stays refused if that fails. ``what`` names the kind of request; ``workspace`` comes from its
    path, if it has one.
    """
    said = act(
        context.clock,
        Action.REQUEST_REFUSE,
        what,
        by=present_actor(caller),
        result=error.code,
        workspace=WorkspaceId(workspace.lower()) if len(workspace) == _GUID else None,
    )
    try:
        await context.throttle.note(said)
    except LiviusError as failed:
        _log.warning("refusal_not_written", code=failed.code)


async def read_audit(
    context: Context,
    caller: Principal,
    workspace: str,
    *,
    session: str | None = None,
    by: str | None = None,
    action: Action | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int,
) -> Sequence[AuditRecord]:
    """Return up to ``limit`` records of a workspace, newest first, from below ``before``.

    Records without a workspace are not among them: only the operator reads those, at the machine.

    Raises:
        NotFound: there is no such workspace.
        Forbidden: the caller is not one of its Admins.
        Invalid: the moment can't be expressed in UTC.
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
            action=action,
            since=None if since is None else _aware(since),
            before=before,
            limit=limit,
        )
    )


def _aware(moment: datetime) -> datetime:
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise Invalid("InvalidInput", "since: no such moment can be told in UTC.") from None
