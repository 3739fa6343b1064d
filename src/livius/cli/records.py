"""Commands that work on the records themselves: for the operator, with or without a gateway.

Whoever may write the data folder may do anything here; a running gateway reads the same records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from livius.adapters.store import SchemaMismatch, SqlStore, open_store
from livius.cli.console import fail, settings
from livius.domain.errors import Invalid, LiviusError
from livius.domain.ids import PrincipalId
from livius.domain.lakehouse import Workspace
from livius.installation.home import Home


def with_store(work: Callable[[SqlStore], Awaitable[None]]) -> int:
    """Do something with the records; return the exit code."""
    chosen = settings()
    home = Home(chosen.home)
    if not home.database.exists() or not home.tenant_file.exists():
        return fail(f"There is no installation in {home.root} yet. Make one with: livius up")
    try:
        store = SqlStore(open_store(home.database, synchronous=chosen.sqlite_synchronous))
    except SchemaMismatch as error:
        return fail(str(error))

    async def run() -> None:
        await work(store)

    try:
        asyncio.run(run())
    except LiviusError as error:
        return fail(error.message)
    finally:
        store.close()
    return 0


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


@dataclass(frozen=True, slots=True)
class Directory:
    """Whom the operator means by an id or a name. ``known`` has each principal's words."""

    known: Mapping[PrincipalId, tuple[str, ...]]

    @classmethod
    async def read(cls, store: SqlStore) -> Directory:
        """Return all users and applications that the embedded authority knows."""
        users = {one.oid: (one.username, one.name) for one in await store.users()}
        applications = {
            PrincipalId(one.object_id): (one.name, one.client_id)
            for one in await store.applications()
        }
        return cls({**applications, **users})

    def principal(self, asked: str) -> PrincipalId:
        """Return the object id of a principal.

        Any GUID may be one: an external authority's principals are known to it alone.

        Raises:
            Invalid: it is neither a GUID nor a name that is known here, or several have it.
        """
        wanted = asked.lower()
        found = [
            oid
            for oid, words in self.known.items()
            if wanted == oid or wanted in (word.lower() for word in words)
        ]
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted(words[0] for words in self.known.values())) or "none"
        if found:
            raise Invalid("InvalidInput", f"Several are called {asked[:100]}. Give an object id.")
        try:
            return PrincipalId(str(UUID(asked)))
        except ValueError:
            raise Invalid(
                "InvalidInput",
                f"{asked[:100]} is neither an object id nor a user or application that is known "
                f"here: {names}.",
            ) from None

    def name(self, principal: str) -> str:
        """Return what people call a principal; empty where that is not known here."""
        return self.known.get(PrincipalId(principal), ("",))[0]
