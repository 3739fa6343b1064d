"""The audit log: who did what, where and when, and what came of it. Nothing is changed in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from livius.domain.identity import Principal, PrincipalKind
from livius.domain.ids import LakehouseId, PrincipalId, SessionId, WorkspaceId
from livius.domain.session import Session

_HEAD_CHARS: Final = 200


class Action(StrEnum):
    """What is written down."""

    SESSION_CREATE = "session.create"
    SESSION_DELETE = "session.delete"
    SESSION_END = "session.end"
    STATEMENT_SUBMIT = "statement.submit"
    STATEMENT_CANCEL = "statement.cancel"
    STATEMENT_END = "statement.end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it, by which token, from which address, in which request."""

    id: PrincipalId
    name: str
    kind: PrincipalKind
    client_id: str | None
    address: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act. ``actor`` is None for what came about by itself.

    ``target`` is a statement's number. ``result`` is a word: accepted, ok, error, cancelled,
    abandoned, or how a session ended. Of code there is the SHA-256 and the beginning.
    """

    at: datetime
    action: Action
    workspace: WorkspaceId
    lakehouse: LakehouseId
    session: SessionId
    result: str
    actor: Actor | None = None
    target: str | None = None
    code_hash: str | None = None
    code_head: str | None = None

    def of_statement(self, number: int) -> AuditEntry:
        """Return the same of a statement, whose number is known by now."""
        return replace(self, target=str(number))

    def of_abandoned(self, number: int) -> AuditEntry:
        """Return what to write of a statement that a session's end ended."""
        return replace(
            self, action=Action.STATEMENT_END, target=str(number), result="abandoned", actor=None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """An entry as it was written; ``number`` grows with each."""

    number: int
    entry: AuditEntry


def actor(caller: Principal, *, address: str | None, request_id: str | None) -> Actor:
    """Return who acts."""
    return Actor(
        id=PrincipalId(caller.oid),
        name=caller.name,
        kind=caller.kind,
        client_id=caller.client_id,
        address=address,
        request_id=request_id,
    )


def entry(
    session: Session,
    action: Action,
    *,
    at: datetime,
    result: str,
    by: Actor | None = None,
    target: str | None = None,
    code: str | None = None,
) -> AuditEntry:
    """Return what to write of an act on a session."""
    return AuditEntry(
        at=at,
        action=action,
        workspace=session.workspace,
        lakehouse=session.lakehouse,
        session=session.id,
        result=result,
        actor=by,
        target=target,
        code_hash=None
        if code is None
        else hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest(),
        code_head=None if code is None else code[:_HEAD_CHARS],
    )
