"""Personal access tokens: for clients that can send a password but can't sign in (Fabric has none).

A token is 32 random bytes, which nobody can guess, so a plain hash is stored. It acts for its
principal, within its scopes, until it expires or is revoked; roles are looked up as for anybody.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from livius.domain.errors import Invalid
from livius.domain.ids import PrincipalId, TenantId
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.tokens import Scope

PREFIX: Final = "livius_pat_"
"""People, and scanners for secrets, recognize a token by it."""

DEFAULT_SCOPES: Final = (
    Scope.LAKEHOUSE_EXECUTE,
    Scope.LAKEHOUSE_READ,
    Scope.CODE_FABRIC,
    Scope.CODE_STORAGE,
)
"""Those that Fabric requires for its Livy API (Fabric contract 8.2)."""

LONGEST_LIFE: Final = timedelta(days=366)
_SHAPE: Final = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}", re.ASCII)
_MAX_NAME: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalToken:
    """The stored record of a token, without the token."""

    id: str
    digest: str
    name: str
    principal: PrincipalId
    principal_name: str
    tenant: TenantId
    issuer: str
    subject: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime

    def bearer(self) -> Principal:
        """Return the principal of the token: a delegated caller with the token's scopes."""
        return Principal(
            tenant=self.tenant,
            oid=self.principal,
            kind=PrincipalKind.USER,
            name=self.principal_name,
            client_id=None,
            scopes=frozenset(self.scopes),
            roles=frozenset(),
            issuer=self.issuer,
            subject=self.subject,
        )


def new_secret() -> str:
    """Return a new token, to be shown once."""
    return PREFIX + secrets.token_urlsafe(32)


def is_personal(token: str) -> bool:
    """Tell whether a text has the form of a personal token. Only such texts are looked up."""
    return _SHAPE.fullmatch(token) is not None


def check_new(name: str, scopes: tuple[str, ...], life: timedelta) -> None:
    """Refuse a token without a usable scope, or with too long a lifetime.

    Raises:
        Invalid: the message has the rule.
    """
    unknown = [scope for scope in scopes if scope not in set(Scope)]
    if unknown or not scopes:
        raise Invalid(
            "InvalidInput",
            f"{unknown[0] if unknown else 'Nothing'} is no scope. There are: {', '.join(Scope)}.",
            field="scope",
        )
    if not timedelta() < life <= LONGEST_LIFE:
        raise Invalid(
            "InvalidInput",
            f"A token expires within {LONGEST_LIFE.days} days.",
            field="expires",
        )
    if len(name) > _MAX_NAME or not name.isprintable():
        raise Invalid(
            "InvalidInput", f"A name has at most {_MAX_NAME} printable characters.", field="name"
        )
