"""The rights of callers (Fabric contract 8.4).

A workspace's list and monitoring record is open from Viewer up. Running needs Contributor. Only a
session's submitter and the workspace's Admins have access to its conf, code, outputs and actions;
for other callers the session does not exist. `livius.domain.permissions` has the needs of each
right. Scopes are checked first: that needs no query, and reveals nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from livius.domain.errors import Conflict, Forbidden, NotFound
from livius.domain.ids import LakehouseId, PrincipalId, ReplId, SessionId, WorkspaceId, parse_id
from livius.domain.lakehouse import Lakehouse, Role, Workspace
from livius.domain.messages import Message
from livius.domain.permissions import Right, check_role, check_scopes
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.repl import ACCEPTING, Repl
from livius.domain.session import FINAL, Session
from livius.ports.catalog import Found
from livius.ports.identity import Directory
from livius.usecases.context import Context


@dataclass(frozen=True, slots=True)
class Place:
    """A lakehouse that the caller may see, and the caller's role in its workspace."""

    lakehouse: Lakehouse
    role: Role


@dataclass(frozen=True, slots=True)
class SessionPath:
    """A session, or a repl of it, as a request's path names it: unchecked ids."""

    workspace: str
    lakehouse: str
    session: str
    repl: str | None = None


async def enter_workspace(
    context: Context, caller: Principal, workspace: str, right: Right
) -> tuple[Workspace, Role]:
    """Return the workspace that a path names, and the caller's role in it.

    Raises:
        NotFound: there is no such workspace.
        Forbidden: the caller lacks a scope, or has no role in the workspace or too small a one.
    """
    check_scopes(caller, right)
    workspace_id = WorkspaceId(parse_id(workspace, what="Workspace"))
    found = await context.store.find_activity(workspace_id, None, PrincipalId(caller.oid))
    return entered(caller, workspace_id, found.workspace, found.role, right)


async def enter(
    context: Context, caller: Principal, workspace: str, lakehouse: str, right: Right
) -> Place:
    """Return the place that a path names.

    Raises:
        NotFound: there is no such workspace, or no such lakehouse in it.
        Forbidden: the caller lacks a scope, or has no role in the workspace or too small a one.
    """
    check_scopes(caller, right)
    workspace_id, lakehouse_id = _ids(workspace, lakehouse)
    found = await context.store.find(workspace_id, lakehouse_id, PrincipalId(caller.oid))
    return _place(caller, workspace_id, lakehouse_id, found, right)


def may_run_code(context: Context, caller: Principal) -> None:
    """Refuse an untrusted principal where all code runs as one operating system user.

    Such code can read other sessions' data, keys and tokens. So only principals that the operator
    trusts with all of it may run code.

    Raises:
        Forbidden: the operator doesn't trust the caller.
    """
    trusted = context.rules.trusted
    if trusted is not None and caller.oid not in trusted:
        raise Forbidden(
            "SecondPersonNotTrusted",
            Message(
                "All sessions of this server run as one operating system user, so code in "
                "one session can read the data of all others, and %(name)s is not among "
                "the principals that the operator trusts with that. The operator adds it to "
                "LIVIUS_OWNERS (object id %(oid)s), or sets LIVIUS_TRUST_ALL_USERS=true, "
                "and restarts the server.",
                name=caller.name,
                oid=caller.oid,
            ),
        )


def may_change_directory(context: Context, caller: Principal) -> bool:
    """Tell whether the caller may change the embedded authority's users and applications.

    A user who adds a credential to an application can act as the application, in every workspace in
    which it has a role. So only owners of the installation may, and no application.
    """
    return (
        context.directory is not None
        and caller.kind is PrincipalKind.USER
        and caller.oid in context.rules.owners
    )


def directory_of_owner(context: Context, caller: Principal) -> Directory:
    """Return the directory to a caller who may change it.

    Raises:
        NotFound: the authority is another one.
        Forbidden: the caller is not one of the owners.
    """
    if context.directory is None:
        raise NotFound(
            "NoDirectory",
            Message(
                "Another authority signs users in here; manage its client applications on its own "
                "pages."
            ),
        )
    if not may_change_directory(context, caller):
        raise Forbidden(
            "OwnersOnly",
            Message(
                "Only the owners of this server change its users and applications, and %(name)s "
                "is not one of them. The operator adds it to LIVIUS_OWNERS "
                "(object id %(oid)s) and restarts the server, or makes the change with: livius "
                "identity",
                name=caller.name,
                oid=caller.oid,
            ),
        )
    return context.directory


async def own_session(
    context: Context, caller: Principal, path: SessionPath, right: Right
) -> Session:
    """Return a session that the caller may read and control.

    A caller without the right learns nothing about the session. It is a single transaction, because
    every request about a session begins with it.

    Raises:
        NotFound: no such workspace, lakehouse or session, a deleted one, or somebody else's.
        Forbidden: the caller lacks a scope, or has no role in the workspace or too small a one.
    """
    session, _ = await _own(context, caller, path, right)
    return session


async def own_repl(
    context: Context, caller: Principal, path: SessionPath, right: Right
) -> tuple[Session, Repl]:
    """Return a session as `own_session` does, and the repl that the path names.

    A path without a repl means the session's first one.

    Raises:
        NotFound, Forbidden: as for `own_session`; also where the session has no such repl, or its
            high-concurrency session was deleted.
        Conflict: the path names no repl of a session that is shared.
    """
    session, repl = await _own(context, caller, path, right)
    if path.repl is None and session.is_shared:
        raise Conflict(
            "ReplRequired",
            Message(
                "The session %(session_id)s is shared by high-concurrency sessions: its "
                "statements are below repls/{replId}/statements.",
                session_id=session.id,
            ),
        )
    is_gone = session.phase not in FINAL and (repl is None or repl.phase not in ACCEPTING)
    if repl is None or repl.session != session.id or is_gone:
        raise _no_repl(session, path)
    return session, repl


def _no_repl(session: Session, path: SessionPath) -> NotFound:
    return NotFound(
        "ReplNotFound",
        Message(
            "The session %(session_id)s has no repl %(repl)s. Its high-concurrency session may "
            "have been deleted: acquire another one.",
            session_id=session.id,
            repl=repr((path.repl or "")[:40]),
        ),
    )


async def _own(
    context: Context, caller: Principal, path: SessionPath, right: Right
) -> tuple[Session, Repl | None]:
    check_scopes(caller, right)
    workspace_id, lakehouse_id = _ids(path.workspace, path.lakehouse)
    session_id = SessionId(parse_id(path.session, what="Session"))
    repl_id = ReplId(parse_id(path.repl, what="Repl")) if path.repl is not None else None
    found = await context.store.find(
        workspace_id, lakehouse_id, PrincipalId(caller.oid), session_id, repl_id
    )
    place = _place(caller, workspace_id, lakehouse_id, found, right)
    session = found.session
    if (
        session is None
        or session.deleted_at is not None
        or session.lakehouse != place.lakehouse.id
        or (session.submitter != caller.oid and place.role is not Role.ADMIN)
    ):
        raise NotFound(
            "SessionNotFound",
            Message(
                "There is no session %(session_id)s in this lakehouse. It may have been deleted.",
                session_id=session_id,
            ),
        )
    return session, found.repl


def _ids(workspace: str, lakehouse: str) -> tuple[WorkspaceId, LakehouseId]:
    return (
        WorkspaceId(parse_id(workspace, what="Workspace")),
        LakehouseId(parse_id(lakehouse, what="Lakehouse")),
    )


def entered(
    caller: Principal,
    workspace_id: WorkspaceId,
    found: Workspace | None,
    role: Role | None,
    right: Right,
) -> tuple[Workspace, Role]:
    """Check that the caller has the right in a workspace; return both the workspace and the role.

    Raises:
        NotFound: there is no such workspace.
        Forbidden: the caller has no role in the workspace or too small a one.
    """
    if found is None:
        raise workspace_not_found(workspace_id)
    if role is None:
        raise Forbidden(
            "InsufficientPrivileges",
            Message(
                "%(name)s has no role in the workspace %(workspace_id)s. Ask one of its Admins "
                "for the role Contributor; your object id is %(oid)s.",
                name=caller.name,
                workspace_id=workspace_id,
                oid=caller.oid,
            ),
        )
    check_role(role, right)
    return found, role


def _place(
    caller: Principal,
    workspace_id: WorkspaceId,
    lakehouse_id: LakehouseId,
    found: Found,
    right: Right,
) -> Place:
    _found, role = entered(caller, workspace_id, found.workspace, found.role, right)
    if found.lakehouse is None or found.lakehouse.workspace != workspace_id:
        raise lakehouse_not_found(lakehouse_id, workspace_id)
    return Place(found.lakehouse, role)


def workspace_not_found(workspace_id: WorkspaceId) -> NotFound:
    """Return the error for a missing workspace."""
    return NotFound(
        "WorkspaceNotFound",
        Message(
            "There is no workspace %(workspace_id)s. It may have been deleted.",
            workspace_id=workspace_id,
        ),
    )


def lakehouse_not_found(lakehouse_id: LakehouseId, workspace_id: WorkspaceId) -> NotFound:
    """Return the error for a missing lakehouse."""
    return NotFound(
        "ItemNotFound",
        Message(
            "There is no lakehouse %(lakehouse_id)s in the workspace %(workspace_id)s.",
            lakehouse_id=lakehouse_id,
            workspace_id=workspace_id,
        ),
    )
