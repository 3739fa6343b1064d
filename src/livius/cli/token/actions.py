"""The actions of ``livius token create``, ``list`` and ``revoke``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from livius.adapters.clock import SystemClock
from livius.adapters.store import SqlStore
from livius.cli.command_token import first_admin, principal_of
from livius.cli.console import err, out, print_json, settings
from livius.cli.records import with_store
from livius.domain.audit import Action
from livius.domain.errors import Invalid, NotFound
from livius.domain.personal_token import DEFAULT_SCOPES
from livius.installation.home import Home
from livius.usecases.audit_throttle import act
from livius.usecases.identity.principals import Principals
from livius.usecases.personal_tokens import create_token

_LIFE: Final = re.compile(r"([1-9]\d{0,4})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def create(*, scopes: Sequence[str] | None, expires: str, name: str, principal: str | None) -> int:
    """Make a token, print it and nothing else on the standard output."""

    async def work(store: SqlStore) -> None:
        principals = await Principals.read(store)
        who = (
            principals.named(principal, only_known=settings().provider is None)
            if principal
            else await first_admin(store)
        )
        owner = principal_of(Home(settings().home), who, principals)
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
        entry = act(SystemClock(), Action.PERSONAL_TOKEN_REVOKE, token.lower())
        if not await store.remove_personal_token(token.lower(), audit=entry):
            raise NotFound(
                "TokenNotFound", f"There is no token {token[:100]}. See: livius token list"
            )
        out.print("Revoked.")

    return with_store(work)


def _life(text: str) -> timedelta:
    found = _LIFE.fullmatch(text)
    if found is None:
        raise Invalid("InvalidInput", f"{text[:40]!r} is no time. Write 30m, 12h or 30d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
