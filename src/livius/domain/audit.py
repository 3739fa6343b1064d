"""The audit log: who did what, where and when, and what came of it. Nothing is changed in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from livius.domain.ids import LakehouseId, PrincipalId, SessionId, WorkspaceId
from livius.domain.principal import Principal
from livius.domain.session import Session

_HEAD_CHARS: Final = 200
_LONGEST: Final = 300


class Action(StrEnum):
    """What is written down."""

    SESSION_CREATE = "session.create"
    SESSION_DELETE = "session.delete"
    SESSION_END = "session.end"
    SESSION_TOKEN = "session.token"  # noqa: S105 - a word
    STATEMENT_SUBMIT = "statement.submit"
    STATEMENT_CANCEL = "statement.cancel"
    STATEMENT_END = "statement.end"
    WORKSPACE_CREATE = "workspace.create"
    WORKSPACE_CHANGE = "workspace.change"
    WORKSPACE_DELETE = "workspace.delete"
    LAKEHOUSE_CREATE = "lakehouse.create"
    LAKEHOUSE_CHANGE = "lakehouse.change"
    LAKEHOUSE_DELETE = "lakehouse.delete"
    ROLE_ASSIGN = "role.assign"
    ROLE_REMOVE = "role.remove"
    SIGN_IN = "sign_in"
    CONSENT_GIVE = "consent.give"
    CONSENT_REVOKE = "consent.revoke"
    TOKEN_ISSUE = "token.issue"  # noqa: S105 - a word
    USER_CREATE = "user.create"
    USER_CHANGE = "user.change"
    USER_REMOVE = "user.remove"
    APPLICATION_CREATE = "application.create"
    APPLICATION_CHANGE = "application.change"
    APPLICATION_REMOVE = "application.remove"
    CREDENTIAL_ADD = "credential.add"
    CREDENTIAL_REMOVE = "credential.remove"
    KEY_ROTATE = "key.rotate"
    PERSONAL_TOKEN_CREATE = "personal_token.create"  # noqa: S105 - a word
    PERSONAL_TOKEN_REVOKE = "personal_token.revoke"  # noqa: S105 - a word
    SECRET_SET = "secret.set"  # noqa: S105 - a word
    SECRET_READ = "secret.read"  # noqa: S105 - a word
    SECRET_REMOVE = "secret.remove"  # noqa: S105 - a word
    REQUEST_REFUSE = "request.refuse"


class ActorKind(StrEnum):
    """What is known of who acts."""

    USER = "user"
    APP = "app"
    OPERATOR = "operator"
    """Somebody at the machine itself, by the name that its operating system knows."""
    UNPROVEN = "unproven"
    """Somebody who did not prove who they are: whom they named is not who they need to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it, by which client application, from which address, in which request."""

    kind: ActorKind
    id: PrincipalId | None = None
    name: str | None = None
    client_id: str | None = None
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act, or ``times`` equal ones. ``actor`` is None for what came about by itself.

    What has no workspace concerns the installation. ``target`` is what was acted on: a
    statement's number, a name, an id; ``detail`` is what else there is to say, never a secret.
    ``result`` is a word: accepted, ok, error, cancelled, abandoned, how a session ended, or the
    code of an error. Of code there is the SHA-256 and the beginning.
    """

    at: datetime
    action: Action
    workspace: WorkspaceId | None = None
    lakehouse: LakehouseId | None = None
    session: SessionId | None = None
    result: str
    actor: Actor | None = None
    target: str | None = None
    detail: str | None = None
    times: int = 1
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


def shortened(text: str) -> str:
    """Return a text that somebody wrote, short enough to be kept."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def actor(caller: Principal, *, address: str | None, request_id: str | None) -> Actor:
    """Return who acts."""
    return Actor(
        kind=ActorKind(caller.kind.value),
        id=PrincipalId(caller.oid),
        name=caller.name,
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
