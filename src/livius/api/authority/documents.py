"""The authority's metadata: endpoints under the host name of the request.

Pages for people are published on the loopback http listener.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from livius.domain.intercepted_hosts import ENTRA
from livius.domain.realm import Address, Style
from livius.usecases.identity.authority import Authority, TokenRefused

_PATHS: Final[Mapping[int, str]] = {1: "/oauth2", 2: "/oauth2/v2.0"}
_GRANTS: Final = (
    "authorization_code",
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
)


def openid_configuration(
    authority: Authority, address: Address, *, version: int
) -> Mapping[str, Any]:
    """Return the discovery document."""
    if address.style is not Style.TENANT:
        version = 2  # the path has no version, and MSAL then uses the second
    programs, people = address.authority + _PATHS[version], authority.pages + address.prefix
    return {
        "token_endpoint": f"{programs}/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"],
        "jwks_uri": f"{address.authority}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": address.issuer(authority.realm, version=version),
        "request_uri_parameter_supported": False,
        "authorization_endpoint": f"{people}{_PATHS[version]}/authorize",
        "device_authorization_endpoint": f"{programs}/devicecode",
        "end_session_endpoint": f"{people}{_PATHS[version]}/logout",
        "grant_types_supported": list(_GRANTS),
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "nbf", "name", "nonce", "oid",
            "preferred_username", "tid", "ver",
        ],
    }  # fmt: skip


def instance_discovery(
    authority: Authority, address: Address, endpoint: str | None
) -> Mapping[str, Any]:
    """Return the host names that are aliases of the authority.

    Raises:
        TokenRefused: the caller asks about an authority that is not this one.
    """
    aliases = sorted(ENTRA) if address.host in ENTRA else [address.host]
    asked = (endpoint or "").removeprefix("https://").partition("/")[0].partition(":")[0].lower()
    if endpoint is not None and asked not in {*authority.realm.hosts, *aliases}:
        raise TokenRefused(
            50049, "invalid_instance", f"Unknown or invalid instance {endpoint[:200]!r}."
        )
    return {
        "tenant_discovery_endpoint": (
            f"{address.origin}/{authority.realm.tenant}/v2.0/.well-known/openid-configuration"
        ),
        "api-version": "1.1",
        "metadata": [
            {
                "preferred_network": address.host,
                "preferred_cache": aliases[0] if len(aliases) == 1 else "login.windows.net",
                "aliases": aliases,
            }
        ],
    }
