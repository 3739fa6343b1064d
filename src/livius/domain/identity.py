"""The caller, the client applications of an authority, and the audiences of tokens.

Three rules are stated here and enforced elsewhere: a token is valid for Fabric's audiences only; an
authority answers under the host names that its realm lists; only a client secret's hash is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from livius.domain.ids import ClientId, TenantId
from livius.domain.intercepted_hosts import ENTRA

TOKEN_LIFETIME: Final = timedelta(minutes=60)
CLOCK_SKEW: Final = timedelta(seconds=60)
"""How far two honest clocks may be apart."""

LARGEST_TOKEN: Final = 16 * 1024
"""Characters. Longer ones are refused unread; Entra's own stay below 8 KiB."""

FABRIC: Final = "https://api.fabric.microsoft.com"
AUDIENCES: Final = frozenset(
    {
        FABRIC,
        "https://analysis.windows.net/powerbi/api",
        "00000009-0000-0000-c000-000000000000",
    }
)
"""Every spelling of the one resource that Fabric's clients ask tokens for (Fabric contract 8.1)."""


class Scope(StrEnum):
    """What a user may allow a client application to do, by its short name (Fabric contract 8.2)."""

    LAKEHOUSE_EXECUTE = "Lakehouse.Execute.All"
    LAKEHOUSE_READ = "Lakehouse.Read.All"
    CODE_FABRIC = "Code.AccessFabric.All"
    CODE_STORAGE = "Code.AccessStorage.All"
    CODE_KEY_VAULT = "Code.AccessAzureKeyvault.All"
    CODE_DATA_LAKE = "Code.AccessAzureDataLake.All"
    CODE_DATA_EXPLORER = "Code.AccessAzureDataExplorer.All"
    CODE_SQL = "Code.AccessSQL.All"


def moment(number: object) -> datetime | None:
    """Return a NumericDate as a moment, or None for what is not one."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    try:
        return datetime.fromtimestamp(number, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def words(value: object) -> frozenset[str]:
    """Return a claim that is either a text of words or a list of them."""
    parts = value.split() if isinstance(value, str) else value
    if not isinstance(parts, list):
        return frozenset()
    return frozenset(part for part in parts if isinstance(part, str))


class PrincipalKind(StrEnum):
    """Entra's two: a person, or an application acting for itself."""

    USER = "user"
    APP = "app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The bearer of a verified token.

    ``issuer`` and ``subject`` name the principal for good: the issuer is the same whatever host
    name the authority was reached under. ``scopes`` are short names, and empty for an application
    that acts for itself. ``client_id`` is the application that obtained the token.
    """

    tenant: TenantId
    oid: str
    kind: PrincipalKind
    name: str
    client_id: ClientId | None
    scopes: frozenset[str]
    roles: frozenset[str]
    issuer: str
    subject: str


_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
_LONGEST_SECRET: Final = 1024


def hash_secret(secret: str) -> str:
    """Return what is stored of a password: of what somebody has thought up. Slow on purpose."""
    salt = secrets.token_bytes(16)
    return f"scrypt${b64encode(salt).decode()}${b64encode(_digest(secret, salt)).decode()}"


def is_slow(kept: str) -> bool:
    """Tell whether it is `hash_secret` that made a hash."""
    return kept.startswith("scrypt$")


def secret_matches(secret: str, kept: str) -> bool:
    """Tell whether it is the secret that `hash_secret` hashed. Slow: call it off the event loop."""
    _, salt, digest = kept.split("$")
    if len(secret) > _LONGEST_SECRET:
        return False
    return hmac.compare_digest(_digest(secret, b64decode(salt)), b64decode(digest))


def _digest(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode("utf-8", "surrogatepass"), salt=salt, **_SCRYPT)


POLICY_PATTERN: Final = "[bB]2[cC]_[A-Za-z0-9_-]{1,64}"
"""The path segment by which MSAL takes an authority's word without asking the public cloud."""

ANY_TENANT: Final = frozenset({"common", "organizations"})
"""What stands for the one tenant in a path, as in Entra for whichever the user belongs to."""

_ADDRESS: Final = re.compile(
    r"https://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    rf"/(?:adfs|(?:dstsv2/)?(?P<tenant>[^/?#\s]+)(?:/{POLICY_PATTERN})?)"
    r"(?P<path>(?:/[A-Za-z0-9._-]+)*)/?"
)
_HTTPS_PORT: Final = 443


class Style(StrEnum):
    """The forms of an authority's path, each of which MSAL treats in a way of its own."""

    TENANT = ""
    ADFS = "adfs"
    DSTS = "dstsv2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """The tenant, and the names under which its authority is reached.

    ``hosts`` are host names in lower case, without a port; IPv6 addresses in brackets. ``domains``
    stand for the tenant's id in a path.
    """

    tenant: TenantId
    hosts: frozenset[str]
    domains: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Return the issuer in a principal's name: no host, so that it never changes."""
        return f"urn:livius:authority:{self.tenant}"

    def has_tenant(self, text: str) -> bool:
        """Tell whether a path segment means this tenant."""
        return text.lower() in {self.tenant, *self.domains, *ANY_TENANT}

    def is_issuer(self, text: str) -> bool:
        """Tell whether this authority signs with that name, in Entra's first form or its second.

        The port is free: it may have been another one when the token was issued.
        """
        found = _ADDRESS.fullmatch(text)
        return (
            found is not None
            and found["host"].lower() in self.hosts
            and (found["tenant"] or "").lower() == self.tenant
            and found["path"] in ("", "/v2.0")
        )

    def is_assertion_audience(self, text: str, *, port: int) -> bool:
        """Tell whether a client assertion is issued for this authority.

        That is a token endpoint under any of the names and prefixes that it is published by, or
        the issuer, which Entra takes too.
        """
        found = _ADDRESS.fullmatch(text)
        return (
            found is not None
            and found["host"].lower() in self.hosts
            and int(found["port"] or _HTTPS_PORT) == port
            and (found["tenant"] is None or self.has_tenant(found["tenant"]))
            and found["path"] in ("/oauth2/v2.0/token", "/oauth2/token", "/v2.0")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where one request met the authority; what the authority publishes for programs starts so.

    ``tenant`` is as the caller wrote it (the tenant's id where the path has none), ``policy`` the
    segment behind it if it is of MSAL's ``b2c_`` form, else empty.
    """

    host: str
    port: int
    tenant: str
    policy: str = ""
    style: Style = Style.TENANT

    @property
    def origin(self) -> str:
        """Return scheme, host and port."""
        return f"https://{self.host}" + ("" if self.port == _HTTPS_PORT else f":{self.port}")

    @property
    def prefix(self) -> str:
        """Return the path that all of the authority's paths begin with."""
        match self.style:
            case Style.ADFS:
                return "/adfs"
            case Style.DSTS:
                return f"/dstsv2/{self.tenant}"
            case Style.TENANT:
                return f"/{self.tenant}" + (f"/{self.policy}" if self.policy else "")

    @property
    def authority(self) -> str:
        """Return what a client calls the authority."""
        return self.origin + self.prefix

    def issuer(self, realm: Realm, *, version: int = 2) -> str:
        """Return the name that is signed with here. It has the tenant's id, as Entra's has."""
        if version == 1:
            origin = "https://sts.windows.net" if self.host in ENTRA else self.origin
            return f"{origin}/{realm.tenant}/"
        policy = f"/{self.policy}" if self.policy else ""
        return f"{self.origin}/{realm.tenant}{policy}/v2.0"
