"""Who may see and do what (Fabric contract 8.4).

A workspace's list and monitoring record is open from Viewer up. Running needs Contributor. A
session's conf, code, outputs and verbs belong to its submitter and the workspace's Admins; for
anybody else the session does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

from livius.domain.errors import Forbidden, NotFound
from livius.domain.identity import Principal
from livius.domain.ids import LakehouseId, PrincipalId, SessionId, WorkspaceId, parse_id
from livius.domain.lakehouse import MAY_RUN, Lakehouse, Role
from livius.domain.session import Session
from livius.ports.store import Found
from livius.usecases.context import Context


@dataclass(frozen=True, slots=True)
class Place:
    """A lakehouse that the caller may see, and the caller's role in its workspace."""

    lakehouse: Lakehouse
    role: Role


@dataclass(frozen=True, slots=True)
class SessionPath:
    """A session as a request's path names it: ids that nobody has looked at yet."""

    workspace: str
    lakehouse: str
    session: str


async def enter(context: Context, caller: Principal, workspace: str, lakehouse: str) -> Place:
    """Return the place that a path names.

    Raises:
        NotFound: there is no such workspace, or no such lakehouse in it.
        Forbidden: the caller has no role in the workspace.
    """
    workspace_id, lakehouse_id = _ids(workspace, lakehouse)
    found = await context.store.find(workspace_id, lakehouse_id, PrincipalId(caller.oid))
    return _place(caller, workspace_id, lakehouse_id, found)


def may_run(place: Place) -> None:
    """Refuse who may only look.

    Raises:
        Forbidden: the role is below Contributor.
    """
    if place.role not in MAY_RUN:
        raise Forbidden(
            "InsufficientWorkspaceRole",
            f"The role {place.role} may look, not run. Ask an Admin of the workspace for the role "
            "Contributor.",
        )


async def own_session(
    context: Context, caller: Principal, path: SessionPath, *, to_run: bool = False
) -> Session:
    """Return a session that the caller may see whole and act on.

    ``to_run`` refuses who may only look, before anything is told of the session. It is one look
    into the store, because it stands before every request about a session.

    Raises:
        NotFound: no such workspace, lakehouse or session, a deleted one, or somebody else's.
        Forbidden: the caller has no role in the workspace, or too small a one.
    """
    workspace_id, lakehouse_id = _ids(path.workspace, path.lakehouse)
    session_id = SessionId(parse_id(path.session, what="Session"))
    found = await context.store.find(
        workspace_id, lakehouse_id, PrincipalId(caller.oid), session_id
    )
    place = _place(caller, workspace_id, lakehouse_id, found)
    if to_run:
        may_run(place)
    session = found.session
    if (
        session is None
        or session.deleted_at is not None
        or session.lakehouse != place.lakehouse.id
        or (session.submitter != caller.oid and place.role is not Role.ADMIN)
    ):
        raise NotFound(
            "SessionNotFound",
            f"There is no session {session_id} in this lakehouse. It may have been deleted.",
        )
    return session


def _ids(workspace: str, lakehouse: str) -> tuple[WorkspaceId, LakehouseId]:
    return (
        WorkspaceId(parse_id(workspace, what="Workspace")),
        LakehouseId(parse_id(lakehouse, what="Lakehouse")),
    )


def _place(
    caller: Principal, workspace_id: WorkspaceId, lakehouse_id: LakehouseId, found: Found
) -> Place:
    if found.workspace is None:
        raise NotFound("WorkspaceNotFound", f"There is no workspace {workspace_id}.")
    if found.role is None:
        raise Forbidden(
            "InsufficientPrivileges",
            f"{caller.name} has no role in the workspace {workspace_id}. "
            "Ask one of its Admins for the role Contributor.",
        )
    if found.lakehouse is None or found.lakehouse.workspace != workspace_id:
        raise NotFound(
            "ItemNotFound", f"There is no lakehouse {lakehouse_id} in the workspace {workspace_id}."
        )
    return Place(found.lakehouse, found.role)
