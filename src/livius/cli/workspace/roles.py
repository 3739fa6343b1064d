"""The actions of ``livius workspace assign``, ``list`` and ``remove``."""

from __future__ import annotations

from typing import Any

from livius.adapters.clock import SystemClock
from livius.adapters.store import SqlStore
from livius.cli.console import out, print_json, settings
from livius.cli.records import find_workspace, with_store
from livius.domain.lakehouse import Role
from livius.usecases.identity.principals import Principals
from livius.usecases.roles import give, take

_CLOCK = SystemClock()


def assign(principal: str, role: Role, *, workspace: str | None) -> int:
    """Assign a role to a principal."""

    async def work(store: SqlStore) -> None:
        principals = await Principals.read(store)
        who = principals.named(principal, only_known=settings().provider is None)
        where = await find_workspace(store, workspace)
        await give(store, _CLOCK, where, who, role)
        out.print(f"{principals.name(who) or who} is {role} of {where.name}.", markup=False)

    return with_store(work)


def list_all(*, workspace: str | None, as_json: bool) -> int:
    """List the roles."""

    async def work(store: SqlStore) -> None:
        principals = await Principals.read(store)
        chosen = [await find_workspace(store, workspace)] if workspace else None
        found: list[dict[str, Any]] = [
            {
                "id": where.id,
                "displayName": where.name,
                "roles": [
                    {
                        "role": one.role.value,
                        "principal": one.principal,
                        "name": principals.name(one.principal),
                    }
                    for one in await store.roles_in(where.id)
                ],
            }
            for where in chosen or await store.list_workspaces()
        ]
        if as_json:
            print_json(found)
            return
        for one in found:
            out.print(f"{one['displayName']}  {one['id']}", markup=False)
            for role in one["roles"]:
                line = f"  {role['role']:<12} {role['principal']}  {role['name']}"
                out.print(line.rstrip(), markup=False)

    return with_store(work)


def remove(principal: str, *, workspace: str | None) -> int:
    """Remove a principal's role."""

    async def work(store: SqlStore) -> None:
        principals = await Principals.read(store)
        who = principals.named(principal)
        where = await find_workspace(store, workspace)
        await take(store, _CLOCK, where, who)
        name = principals.name(who) or who
        out.print(f"{name} has no role any more in {where.name}.", markup=False)

    return with_store(work)
