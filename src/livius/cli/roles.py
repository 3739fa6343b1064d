"""What ``livius workspace`` does."""

from __future__ import annotations

from livius.adapters.store import SqlStore
from livius.cli.console import out
from livius.cli.records import Directory, find_workspace, with_store
from livius.domain.errors import Conflict
from livius.domain.ids import PrincipalId
from livius.domain.lakehouse import Role, RoleAssignment, Workspace


def assign(principal: str, role: Role, *, workspace: str | None) -> int:
    """Give a principal a role."""

    async def work(store: SqlStore) -> None:
        directory = await Directory.read(store)
        who = directory.principal(principal)
        where = await find_workspace(store, workspace)
        if role is not Role.ADMIN:
            await _keep_an_admin(store, where, who)
        await store.assign_role(RoleAssignment(workspace=where.id, principal=who, role=role))
        out.print(f"{directory.name(who) or who} is {role} of {where.name}.", markup=False)

    return with_store(work)


def list_all(*, workspace: str | None) -> int:
    """List who has which role."""

    async def work(store: SqlStore) -> None:
        directory = await Directory.read(store)
        chosen = [await find_workspace(store, workspace)] if workspace else None
        for where in chosen or await store.list_workspaces():
            out.print(f"{where.name}  {where.id}", markup=False)
            for one in await store.roles_in(where.id):
                name = directory.name(one.principal)
                out.print(f"  {one.role:<12} {one.principal}  {name}".rstrip(), markup=False)

    return with_store(work)


def remove(principal: str, *, workspace: str | None) -> int:
    """Take a principal's role away."""

    async def work(store: SqlStore) -> None:
        directory = await Directory.read(store)
        who = directory.principal(principal)
        where = await find_workspace(store, workspace)
        await _keep_an_admin(store, where, who)
        had = await store.remove_role(where.id, who)
        said = "has no role any more" if had else "had no role"
        out.print(f"{directory.name(who) or who} {said} in {where.name}.", markup=False)

    return with_store(work)


async def _keep_an_admin(store: SqlStore, where: Workspace, who: PrincipalId) -> None:
    """Refuse to leave a workspace to nobody.

    Raises:
        Conflict: the principal is its only Admin.
    """
    admins = {one.principal for one in await store.roles_in(where.id) if one.role is Role.ADMIN}
    if admins == {who}:
        raise Conflict(
            "LastAdmin",
            f"That is the only Admin of {where.name}. Assign the role Admin to another one first.",
        )
