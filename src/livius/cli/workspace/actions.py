"""The actions of ``livius workspace rename`` and ``delete``."""

from __future__ import annotations

import sys

from livius.adapters.clock import SystemClock
from livius.adapters.store import SqlStore
from livius.cli.console import err, out, settings
from livius.cli.records import find_workspace, with_store
from livius.domain.audit import Action, entry
from livius.domain.errors import Invalid
from livius.domain.lakehouse import Role
from livius.installation.home import Home
from livius.usecases import catalog
from livius.usecases.audit_throttle import present_actor

_CLOCK = SystemClock()
_OPERATOR = "The operator"


def rename(workspace: str, name: str) -> int:
    """Rename a workspace."""

    async def work(store: SqlStore) -> None:
        where = await find_workspace(store, workspace)
        changed = await catalog.describe_workspace(
            store, _CLOCK, where, name=name, description=None
        )
        out.print(f"{where.name} is called {changed.name} now.", markup=False)

    return with_store(work)


def delete(workspace: str, *, yes: bool) -> int:
    """Delete a workspace."""

    async def work(store: SqlStore) -> None:
        where = await find_workspace(store, workspace)
        lakehouses = await store.list_lakehouses(where.id)
        names = ", ".join(one.name for one in lakehouses) or "none"
        err.print(
            f"This deletes the workspace {where.name} with its lakehouses ({names}) and roles, and "
            "ends the sessions in it.",
            markup=False,
        )
        if not yes and not _agreed():
            raise Invalid("NotAgreed", "Nothing was deleted.")
        admins = [one for one in await store.roles_in(where.id) if one.role is Role.ADMIN]
        ended = await catalog.remove_workspace(
            store,
            _CLOCK,
            where,
            by=admins[0].principal,
            name=_OPERATOR,
            audit_end=lambda session: entry(
                session,
                Action.SESSION_DELETE,
                at=_CLOCK.now(),
                result="accepted",
                by=present_actor(),
            ),
        )
        folder = Home(settings().home).onelake / where.id
        out.print(f"Deleted {where.name}. Sessions that end: {len(ended)}.", markup=False)
        if lakehouses:
            out.print(f"The files are in {folder} still.", markup=False)

    return with_store(work)


def _agreed() -> bool:
    err.print("Delete it? Type yes: ", end="")
    return sys.stdin.readline().strip().lower() == "yes"
