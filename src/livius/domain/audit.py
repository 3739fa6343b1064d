"""The audit log: who did what, where and when, and the result. Entries never change."""

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
    """The actions that the log records."""

    SESSION_CREATE = "session.create"
    SESSION_DELETE = "session.delete"
    SESSION_END = "session.end"
    SESSION_TOKEN = "session.token"  # noqa: S105 - a word
    STATEMENT_SUBMIT = "statement.submit"
    STATEMENT_CANCEL = "statement.cancel"
    STATEMENT_END = "statement.end"
    HIGH_CONCURRENCY_ACQUIRE = "high_concurrency.acquire"
    HIGH_CONCURRENCY_DELETE = "high_concurrency.delete"
    WORKSPACE_CREATE = "workspace.create"
    WORKSPACE_CHANGE = "workspace.change"
    WORKSPACE_DELETE = "workspace.delete"
    SPARK_SETTINGS_CHANGE = "spark_settings.change"
    SPARK_POOL_CREATE = "spark_pool.create"
    SPARK_POOL_CHANGE = "spark_pool.change"
    SPARK_POOL_DELETE = "spark_pool.delete"
    LAKEHOUSE_CREATE = "lakehouse.create"
    LAKEHOUSE_CHANGE = "lakehouse.change"
    LAKEHOUSE_DELETE = "lakehouse.delete"
    TABLE_LOAD = "table.load"
    TABLE_DELETE = "table.delete"
    FILE_UPLOAD = "file.upload"
    FILE_DELETE = "file.delete"
    FOLDER_CREATE = "folder.create"
    ENVIRONMENT_CREATE = "environment.create"
    ENVIRONMENT_CHANGE = "environment.change"
    ENVIRONMENT_DELETE = "environment.delete"
    ENVIRONMENT_PUBLISH = "environment.publish"
    OPERATION_CANCEL = "operation.cancel"
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
    """How an actor was identified."""

    USER = "user"
    APP = "app"
    OPERATOR = "operator"
    """A user of this machine, by the name that the operating system has."""
    UNPROVEN = "unproven"
    """A caller without a proven identity; the name is only claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The principal, client application, address and request of an act."""

    kind: ActorKind
    id: PrincipalId | None = None
    name: str | None = None
    client_id: str | None = None
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act, or ``times`` equal ones.

    ``actor`` is None where nobody acted. An entry without a workspace concerns the installation.
    ``target`` is a statement's number, a name or an id; ``detail`` has further facts, never a
    secret. ``result`` is a word: accepted, ok, error, cancelled, abandoned, how a session ended, or
    the code of an error. Code is recorded by its SHA-256 and beginning.
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
        """Return the entry with the number of its statement, which is known only now."""
        return replace(self, target=str(number))

    def of_abandoned(self, number: int) -> AuditEntry:
        """Return the entry for a statement that ended with its session."""
        return replace(
            self, action=Action.STATEMENT_END, target=str(number), result="abandoned", actor=None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """An entry in the log; ``number`` grows with each."""

    number: int
    entry: AuditEntry


def shortened(text: str) -> str:
    """Return a caller's text, cut to the length that the log stores."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def actor(caller: Principal, *, address: str | None, request_id: str | None) -> Actor:
    """Return the actor that a principal is."""
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
    """Return the entry for an act on a session."""
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
