"""Roles in a workspace: list, assign, change, remove (Fabric contract 8.4).

Admins change them; Admins and Members see them. A workspace always has an Admin. A change takes
effect with the next request; sessions of a principal that lost its role keep running until an Admin
ends them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from livius.domain.audit import Action
from livius.domain.errors import Conflict, NotFound
from livius.domain.ids import PrincipalId, parse_id
from livius.domain.lakehouse import Role, RoleAssignment, Workspace
from livius.domain.messages import Message
from livius.domain.permissions import LIST_WORKSPACES, MANAGE, SEE_ROLES
from livius.domain.principal import Principal
from livius.ports.catalog import Catalog, Outcome
from livius.ports.clock import Clock
from livius.usecases.access import enter_workspace, workspace_not_found
from livius.usecases.audit_throttle import act
from livius.usecases.context import Context
from livius.usecases.identity.principals import Known, Principals


@dataclass(frozen=True, slots=True)
class Member:
    """A principal with a role. ``known`` is None if the principal isn't in the directory."""

    principal: PrincipalId
    role: Role
    known: Known | None


async def list_roles(context: Context, caller: Principal, workspace: str) -> Sequence[Member]:
    """Return the roles in a workspace: the greatest roles first, then by the principal's name.

    Raises:
        NotFound: there is no such workspace.
        Forbidden: the caller is neither Admin nor Member.
    """
    found, _role = await enter_workspace(context, caller, workspace, SEE_ROLES)
    principals = await Principals.read(context.directory)
    members = [
        Member(one.principal, one.role, principals.known.get(one.principal))
        for one in await context.store.roles_in(found.id)
    ]
    return sorted(members, key=order_of)


async def list_admins(context: Context, caller: Principal, workspace: str) -> Sequence[Member]:
    """Return the Admins of a workspace, by name, to anybody with a role in it.

    They are the people to ask, as a workspace's contacts are in Fabric.

    Raises:
        NotFound: there is no such workspace.
        Forbidden: the caller has no role in it.
    """
    found, _role = await enter_workspace(context, caller, workspace, LIST_WORKSPACES)
    principals = await Principals.read(context.directory)
    admins = [
        Member(one.principal, one.role, principals.known.get(one.principal))
        for one in await context.store.roles_in(found.id)
        if one.role is Role.ADMIN
    ]
    return sorted(admins, key=order_of)


def order_of(member: Member) -> tuple[int, str, str]:
    """Return what a list of roles is sorted by: the role, then the principal's name."""
    name = member.known.name.lower() if member.known else ""
    return list(Role).index(member.role), name, member.principal


async def get_role(context: Context, caller: Principal, workspace: str, principal: str) -> Member:
    """Return one principal's role.

    Raises:
        NotFound: it has none.
    """
    found = await list_roles(context, caller, workspace)
    wanted = _principal(principal)
    for one in found:
        if one.principal == wanted:
            return one
    raise _no_role(principal)


async def add_role(
    context: Context, caller: Principal, workspace: str, who: str, role: Role
) -> Member:
    """Assign a role to a principal that has none.

    ``who`` is its object id or a known name.

    Raises:
        Forbidden: the caller is not an Admin.
        Invalid: no principal has the name.
        Conflict: it has a role already.
    """
    found, _role = await enter_workspace(context, caller, workspace, MANAGE)
    principals = await Principals.read(context.directory)
    principal = principals.named(who, only_known=context.directory is not None)
    outcome = await _assign(context.store, context.clock, found, principal, role, has_role=False)
    if outcome is Outcome.TAKEN:
        raise Conflict(
            "PrincipalAlreadyHasWorkspaceRolePermissions",
            Message(
                "%(principal)s has a role in this workspace already. Change it, or remove it "
                "first.",
                principal=principals.name(principal) or principal,
            ),
        )
    if not outcome:
        raise workspace_not_found(found.id)
    return Member(principal, role, principals.known.get(principal))


async def change_role(
    context: Context, caller: Principal, workspace: str, principal: str, role: Role
) -> Member:
    """Assign another role to a principal that has one.

    Raises:
        Forbidden: the caller is not an Admin.
        NotFound: it has no role.
        Conflict: it is the only Admin.
    """
    found, _role = await enter_workspace(context, caller, workspace, MANAGE)
    who = _principal(principal)
    outcome = await _assign(context.store, context.clock, found, who, role, has_role=True)
    if outcome is Outcome.LAST_ADMIN:
        raise _last_admin(found)
    if not outcome:
        raise _no_role(principal)
    return Member(who, role, (await Principals.read(context.directory)).known.get(who))


async def remove_role(context: Context, caller: Principal, workspace: str, principal: str) -> None:
    """Remove a principal's role.

    Raises:
        Forbidden: the caller is not an Admin.
        NotFound: it has no role.
        Conflict: it is the only Admin.
    """
    found, _role = await enter_workspace(context, caller, workspace, MANAGE)
    who = _principal(principal)
    await take(context.store, context.clock, found, who)


async def give(
    catalog: Catalog, clock: Clock, workspace: Workspace, who: PrincipalId, role: Role
) -> None:
    """Assign a role to a principal, in place of its present one: for the operator.

    Raises:
        Conflict: it is the only Admin.
        NotFound: the workspace was deleted in the same moment.
    """
    outcome = await _assign(catalog, clock, workspace, who, role)
    if outcome is Outcome.LAST_ADMIN:
        raise _last_admin(workspace)
    if not outcome:
        raise workspace_not_found(workspace.id)


async def _assign(
    catalog: Catalog,
    clock: Clock,
    workspace: Workspace,
    who: PrincipalId,
    role: Role,
    *,
    has_role: bool | None = None,
) -> Outcome:
    return await catalog.assign_role(
        RoleAssignment(workspace=workspace.id, principal=who, role=role),
        has_role=has_role,
        audit=act(clock, Action.ROLE_ASSIGN, who, detail=role, workspace=workspace.id),
    )


async def take(catalog: Catalog, clock: Clock, workspace: Workspace, who: PrincipalId) -> None:
    """Remove a principal's role: for the operator.

    Raises:
        NotFound: it has no role.
        Conflict: it is the only Admin.
    """
    entry = act(clock, Action.ROLE_REMOVE, who, workspace=workspace.id)
    outcome = await catalog.remove_role(workspace.id, who, audit=entry)
    if outcome is Outcome.LAST_ADMIN:
        raise _last_admin(workspace)
    if not outcome:
        raise _no_role(who)


def _principal(text: str) -> PrincipalId:
    return PrincipalId(parse_id(text, what="Principal"))


def _no_role(principal: str) -> NotFound:
    return NotFound(
        "WorkspaceRoleAssignmentNotFound",
        Message(
            "The principal %(principal)s has no role in this workspace.", principal=principal[:100]
        ),
    )


def _last_admin(workspace: Workspace) -> Conflict:
    return Conflict(
        "LastAdmin",
        Message(
            "That is the only Admin of %(workspace)s. Assign the role Admin to another one first.",
            workspace=workspace.name,
        ),
    )
