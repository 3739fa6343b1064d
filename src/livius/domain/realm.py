"""The tenant, and the addresses and issuers by which its authority is reached.

An authority answers under its realm's host names only; `livius.api.authority` enforces that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from livius.domain.ids import TenantId
from livius.domain.intercepted_hosts import ENTRA

POLICY_PATTERN: Final = "[bB]2[cC]_[A-Za-z0-9_-]{1,64}"
"""A path segment that makes MSAL trust the authority without asking the public cloud."""

ANY_TENANT: Final = frozenset({"common", "organizations"})
"""Path segments that mean the one tenant. In Entra they mean the tenant of the user."""

_ADDRESS: Final = re.compile(
    r"https://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    rf"/(?:adfs|(?:dstsv2/)?(?P<tenant>[^/?#\s]+)(?:/{POLICY_PATTERN})?)"
    r"(?P<path>(?:/[A-Za-z0-9._-]+)*)/?"
)
_HTTPS_PORT: Final = 443


class Style(StrEnum):
    """The forms of an authority's path. MSAL treats each differently."""

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
        """Return the issuer that names principals. It has no host, so that it never changes."""
        return f"urn:livius:authority:{self.tenant}"

    def has_tenant(self, text: str) -> bool:
        """Tell whether a path segment means this tenant."""
        return text.lower() in {self.tenant, *self.domains, *ANY_TENANT}

    def is_issuer(self, text: str) -> bool:
        """Tell whether this authority issues tokens by that name, in either of Entra's forms.

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

        Its audience is a published address of the token endpoint, or the issuer, which Entra
        accepts too.
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
    """The address at which one request reached the authority; published endpoints begin with it.

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
        """Return the URL that a client calls the authority."""
        return self.origin + self.prefix

    def issuer(self, realm: Realm, *, version: int = 2) -> str:
        """Return the issuer of tokens from this address. It has the tenant's id, as Entra's has."""
        if version == 1:
            origin = "https://sts.windows.net" if self.host in ENTRA else self.origin
            return f"{origin}/{realm.tenant}/"
        policy = f"/{self.policy}" if self.policy else ""
        return f"{self.origin}/{realm.tenant}{policy}/v2.0"
