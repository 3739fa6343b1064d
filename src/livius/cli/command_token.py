"""Tokens for commands, which act for the owner of the data folder."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from livius.adapters.clock import SystemClock
from livius.adapters.store import SqlStore, open_store
from livius.cli.records import act_as_operator, find_workspace
from livius.domain.errors import Invalid
from livius.domain.ids import PrincipalId, TenantId
from livius.domain.lakehouse import Role
from livius.domain.personal_token import DEFAULT_SCOPES
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.realm import Realm
from livius.installation.home import Home
from livius.usecases.identity.principals import Principals
from livius.usecases.personal_tokens import create_token

_COMMANDS: Final = "commands of this data folder's owner"


def command_token(home: Home) -> str:
    """Return a token with which a command calls the API for the next hour.

    It is for external authorities, which don't know our commands; the owner of the data folder may
    do anything with it anyway. Expired tokens of earlier commands are removed.
    """
    store = SqlStore(open_store(home.database))

    async def make() -> str:
        act_as_operator()
        clock = SystemClock()
        for one in await store.list_personal_tokens():
            if one.name == _COMMANDS and one.expires_at <= clock.now():
                await store.remove_personal_token(one.id)
        _made, secret = await create_token(
            store,
            clock,
            principal_of(home, await first_admin(store), await Principals.read(store)),
            name=_COMMANDS,
            scopes=DEFAULT_SCOPES,
            life=timedelta(hours=1),
        )
        return secret

    try:
        return asyncio.run(make())
    finally:
        store.close()


def principal_of(home: Home, who: PrincipalId, principals: Principals) -> Principal:
    """Return a principal with the facts in the data folder."""
    tenant = TenantId(home.tenant_file.read_text(encoding="ascii").strip())
    return Principal(
        tenant=tenant,
        oid=who,
        kind=PrincipalKind.USER,
        name=principals.name(who) or who,
        client_id=None,
        scopes=frozenset(),
        roles=frozenset(),
        issuer=Realm(tenant=tenant, hosts=frozenset()).name,
        subject=who,
    )


async def first_admin(store: SqlStore) -> PrincipalId:
    """Return the principal for which the installation was made.

    Raises:
        Invalid: the first workspace has no Admin any more.
    """
    sample = await find_workspace(store, None)
    for one in await store.roles_in(sample.id):
        if one.role is Role.ADMIN:
            return one.principal
    raise Invalid(
        "InvalidInput",
        f"Nobody is Admin of {sample.name}. Name a user with --for, or assign the role: livius "
        f"workspace assign WHO Admin --workspace {sample.id}",
    )
