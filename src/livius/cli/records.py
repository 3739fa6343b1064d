"""Commands that work on the records themselves: for the operator, with or without a gateway.

A user who may write to the data folder may do anything here; a running gateway reads the same
records.
"""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable

from livius.adapters.store import SchemaMismatch, SqlStore, open_store
from livius.cli.console import fail, settings
from livius.domain.errors import Invalid, LiviusError
from livius.domain.lakehouse import Workspace
from livius.installation.home import Home
from livius.usecases.audit_throttle import ORIGIN, Origin


def with_store(work: Callable[[SqlStore], Awaitable[None]]) -> int:
    """Run a function on the store; return the exit code."""
    chosen = settings()
    home = Home(chosen.home)
    if not home.database.exists() or not home.tenant_file.exists():
        return fail(f"There is no installation in {home.root} yet. Make one with: livius up")
    try:
        store = SqlStore(
            open_store(home.database, synchronous=chosen.sqlite_synchronous),
            keep_audit=chosen.audit_retention,
        )
    except SchemaMismatch as error:
        return fail(str(error))

    async def run() -> None:
        act_as_operator()
        await work(store)

    try:
        asyncio.run(run())
    except LiviusError as error:
        return fail(error.message)
    finally:
        store.close()
    return 0


def act_as_operator() -> None:
    """Make the machine's user the actor of the following audit entries.

    The user comes from the kernel, because anybody can change the environment.
    """
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    ORIGIN.set(Origin(operator=name))


async def find_workspace(store: SqlStore, asked: str | None) -> Workspace:
    """Return a workspace by name or id; the first one, the sample's, for None.

    Raises:
        Invalid: there is none.
    """
    known = await store.list_workspaces()
    found = [one for one in known if asked is None or asked.lower() in (one.id, one.name.lower())]
    if not found:
        names = ", ".join(one.name for one in known) or "none"
        raise Invalid("InvalidInput", f"There is no workspace {asked}. There is: {names}.")
    return found[0]
