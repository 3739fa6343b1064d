"""What ``livius token create``, ``list`` and ``revoke`` do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from livius.adapters.clock import SystemClock
from livius.adapters.store import SqlStore, open_store
from livius.cli.console import err, out, print_json, settings
from livius.cli.records import act_as_operator, find_workspace, with_store
from livius.domain.audit import Action
from livius.domain.errors import Invalid, NotFound
from livius.domain.identity import Principal, PrincipalKind, Realm
from livius.domain.ids import PrincipalId, TenantId
from livius.domain.lakehouse import Role
from livius.domain.personal_token import DEFAULT_SCOPES
from livius.installation.home import Home
from livius.usecases.audit_throttle import act
from livius.usecases.identity.principals import Principals
from livius.usecases.personal_tokens import create_token

_LIFE: Final = re.compile(r"([1-9]\d{0,4})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


_COMMANDS: Final = "commands of this data folder's owner"


def command_token(home: Home) -> str:
    """Return a token with which a command of ours calls the API for the next hour.

    Only where another authority issues the tokens: it does not know us, and the owner of the data
    folder may do anything with it anyway. Those of earlier commands are removed once they ended.
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
            _owner(home, await _first_admin(store), await Principals.read(store)),
            name=_COMMANDS,
            scopes=DEFAULT_SCOPES,
            life=timedelta(hours=1),
        )
        return secret

    try:
        return asyncio.run(make())
    finally:
        store.close()


def create(*, scopes: Sequence[str] | None, expires: str, name: str, principal: str | None) -> int:
    """Make a token, print it and nothing else on the standard output."""

    async def work(store: SqlStore) -> None:
        principals = await Principals.read(store)
        who = (
            principals.named(principal, only_known=settings().provider is None)
            if principal
            else await _first_admin(store)
        )
        owner = _owner(Home(settings().home), who, principals)
        made, secret = await create_token(
            store,
            SystemClock(),
            owner,
            name=name,
            scopes=tuple(scopes or DEFAULT_SCOPES),
            life=_life(expires),
        )
        err.print(
            f"A token for {owner.name}, until {made.expires_at:%Y-%m-%d %H:%M} UTC. It is shown "
            f"this once; end it with: livius token revoke {made.id}",
            markup=False,
        )
        print(secret)

    return with_store(work)


def list_all(*, as_json: bool) -> int:
    """List the tokens."""

    async def work(store: SqlStore) -> None:
        now = SystemClock().now()
        tokens = await store.list_personal_tokens()
        if as_json:
            print_json(
                [
                    {
                        "id": one.id,
                        "name": one.name,
                        "principal": one.principal_name,
                        "scopes": list(one.scopes),
                        "expiresAt": f"{one.expires_at:%Y-%m-%dT%H:%M:%SZ}",
                        "expired": one.expires_at <= now,
                    }
                    for one in tokens
                ]
            )
            return
        for one in tokens:
            ends = "expired" if one.expires_at <= now else f"until {one.expires_at:%Y-%m-%d %H:%M}"
            out.print(
                f"{one.id}  {ends}  {one.principal_name}  {one.name}\n    {' '.join(one.scopes)}",
                markup=False,
            )

    return with_store(work)


def revoke(token: str) -> int:
    """End a token."""

    async def work(store: SqlStore) -> None:
        told = act(SystemClock(), Action.PERSONAL_TOKEN_REVOKE, token.lower())
        if not await store.remove_personal_token(token.lower(), audit=told):
            raise NotFound(
                "TokenNotFound", f"There is no token {token[:100]}. See: livius token list"
            )
        out.print("Revoked.")

    return with_store(work)


def _owner(home: Home, who: PrincipalId, principals: Principals) -> Principal:
    """Return a principal as far as the data folder knows it."""
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


async def _first_admin(store: SqlStore) -> PrincipalId:
    """Return whom the installation was made for.

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


def _life(text: str) -> timedelta:
    found = _LIFE.fullmatch(text)
    if found is None:
        raise Invalid("InvalidInput", f"{text[:40]!r} is no time. Write 30m, 12h or 30d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
