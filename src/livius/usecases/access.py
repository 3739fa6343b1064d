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
from livius.usecases.context import Context


@dataclass(frozen=True, slots=True)
class Place:
    """A lakehouse that the caller may see, and the caller's role in its workspace."""

    lakehouse: Lakehouse
    role: Role


async def enter(context: Context, caller: Principal, workspace: str, lakehouse: str) -> Place:
    """Return the place that a path names.

    Raises:
        NotFound: there is no such workspace, or no such lakehouse in it.
        Forbidden: the caller has no role in the workspace.
    """
    workspace_id = WorkspaceId(parse_id(workspace, what="Workspace"))
    lakehouse_id = LakehouseId(parse_id(lakehouse, what="Lakehouse"))
    found = await context.store.find(workspace_id, lakehouse_id, PrincipalId(caller.oid))
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


async def own_session(context: Context, caller: Principal, place: Place, session: str) -> Session:
    """Return a session of the place that the caller may see whole and act on.

    Raises:
        NotFound: no such session, a deleted one, or somebody else's.
    """
    session_id = SessionId(parse_id(session, what="Session"))
    found = await context.store.session(session_id)
    if (
        found is None
        or found.deleted_at is not None
        or found.lakehouse != place.lakehouse.id
        or (found.submitter != caller.oid and place.role is not Role.ADMIN)
    ):
        raise NotFound(
            "SessionNotFound",
            f"There is no session {session_id} in this lakehouse. It may have been deleted.",
        )
    return found
