"""An identity provider's endpoints, from its discovery document.

The document comes by TLS from the issuer that the operator configured, so endpoints on other hosts
are trusted. Secrets and people are never sent without TLS, or into this machine, whatever the
document says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from livius.domain.accounts import LOOPBACK_HOSTS
from livius.domain.oidc_provider import Provider

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LONGEST: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The provider's endpoints (None: missing or unsafe) and capabilities.

    ``on_behalf_of``: it exchanges users' tokens (Entra's form of RFC 7523). ``by_form``: the
    client's secret goes into the form, not into the header. ``algorithms`` are those for client
    assertions; empty if it does not list any.
    """

    authorize: str | None = None
    token: str | None = None
    sign_out: str | None = None
    on_behalf_of: bool = False
    by_form: bool = False
    algorithms: frozenset[str] = frozenset()


def read_endpoints(document: Mapping[str, Any], provider: Provider) -> Endpoints:
    """Return the endpoints and capabilities in a discovery document, without unsafe ones."""
    grants = _listed(document, "grant_types_supported")
    # OpenID Connect Discovery 3: the header is the default. It is also the default of a client's
    # registration (Registration 2).
    ways = _listed(document, "token_endpoint_auth_methods_supported") or {"client_secret_basic"}
    return Endpoints(
        authorize=usable(document.get("authorization_endpoint"), provider, for_people=True),
        token=usable(document.get("token_endpoint"), provider),
        sign_out=usable(document.get("end_session_endpoint"), provider, for_people=True),
        # Entra supports it but lists no grants.
        on_behalf_of=JWT_BEARER in grants or (provider.tenant is not None and not grants),
        by_form="client_secret_basic" not in ways,
        algorithms=_listed(document, "token_endpoint_auth_signing_alg_values_supported"),
    )


def usable(url: object, provider: Provider, *, for_people: bool = False) -> str | None:
    """Return a provider's address if secrets or people may be sent there, else None.

    It must have TLS, except on loopback: for programs if the issuer has none either, for people if
    the issuer is on loopback. An issuer elsewhere must not name loopback.
    """
    if not isinstance(url, str) or not 0 < len(url) <= _LONGEST or not url.isprintable():
        return None
    try:
        parts, issuer = urlsplit(url), urlsplit(provider.issuer)
        _ = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None or parts.fragment or " " in url:
        return None
    here, issuer_here = parts.hostname in LOOPBACK_HOSTS, issuer.hostname in LOOPBACK_HOSTS
    if here and not issuer_here:
        return None
    if parts.scheme == "https":
        return url
    plain = for_people or issuer.scheme == "http"
    return url if parts.scheme == "http" and here and plain else None


def _listed(document: Mapping[str, Any], name: str) -> frozenset[str]:
    found = document.get(name)
    every = found if isinstance(found, list) else []
    return frozenset(one for one in every if isinstance(one, str))
