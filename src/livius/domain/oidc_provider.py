"""An external identity provider: which of its tokens are valid here.

There are two forms. In a tenant of Entra, or a provider that behaves like one, ``oid`` identifies
principals, and ``tid`` must be the tenant's (v1 and v2 tokens, Fabric contract 8.1). With any other
OpenID provider, issuer and ``sub`` do, and the principal's id here is derived from them (RFC 9068
names the claims).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from livius.domain.errors import Unauthenticated
from livius.domain.ids import ClientId, TenantId
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.tokens import AUDIENCES, CLOCK_SKEW, Scope, moment, words

ENTRA: Final = "https://login.microsoftonline.com"
_MICROSOFT: Final = (
    "microsoftonline.com",
    "microsoftonline.us",
    "partner.microsoftonline.cn",
    "login.microsoft.com",
    "windows.net",
)
_EVERYTHING: Final = "user_impersonation"
"""Entra's usual scope for an application that acts as the user without limits."""
_KINDS: Final = ("token_use", "token_type", "typ")
"""The header values by which providers tell the uses of tokens apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider and its valid audiences. ``tenant`` is set if it behaves like Entra."""

    issuer: str
    audiences: frozenset[str]
    tenant: TenantId | None = None

    @property
    def discovery(self) -> str:
        """Return the URL of the discovery document (OpenID Connect Discovery 4)."""
        return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"

    @property
    def issuers(self) -> frozenset[str]:
        """Return every issuer of its tokens: a real tenant has another one for v1 tokens."""
        if self.tenant is not None and self.issuer.startswith(f"{ENTRA}/"):
            return frozenset({self.issuer, f"https://sts.windows.net/{self.tenant}/"})
        return frozenset({self.issuer})

    @property
    def realm(self) -> TenantId:
        """Return the tenant of its principals, derived from the issuer if it has none."""
        return self.tenant or TenantId(str(uuid5(NAMESPACE_URL, self.issuer)))


def entra_tenant(tenant: TenantId, audiences: frozenset[str]) -> Provider:
    """Return a tenant of the public cloud."""
    return Provider(issuer=f"{ENTRA}/{tenant}/v2.0", audiences=audiences, tenant=tenant)


def check_provider(provider: Provider, *, fabric_tokens: bool) -> None:
    """Refuse a provider whose tokens could be confused with others, or take too long to verify.

    Raises:
        ValueError: with what to set.
    """
    where = urlsplit(provider.issuer)
    on_loopback = where.hostname in ("localhost", "127.0.0.1", "::1")
    if where.scheme != "https" and not (where.scheme == "http" and on_loopback):
        raise ValueError("LIVIUS_AUTHORITY_ISSUER is an https address")
    if where.query or where.fragment or where.username or not where.hostname:
        raise ValueError("LIVIUS_AUTHORITY_ISSUER is an address without query, fragment and user")
    if not provider.audiences:
        raise ValueError(
            "LIVIUS_AUTHORITY_AUDIENCE is needed: the client id or application id URI of Livius's "
            "own registration at the authority"
        )
    if is_microsofts(provider.issuer) and opens_fabric(provider.audiences) and not fabric_tokens:
        raise ValueError(
            "tokens that a real tenant makes out for Fabric open their owners' real Fabric. "
            "Register an application of Livius's own and name it with LIVIUS_AUTHORITY_AUDIENCE, "
            "or take the risk with LIVIUS_AUTHORITY_FABRIC_TOKENS"
        )
    if is_microsofts(provider.issuer) and provider.tenant is None:
        raise ValueError("LIVIUS_AUTHORITY_TENANT is needed beside an issuer of Entra's")


def is_microsofts(issuer: str) -> bool:
    """Tell whether tokens of this issuer may open the real Fabric."""
    host = (urlsplit(issuer).hostname or "").lower()
    return any(host == name or host.endswith(f".{name}") for name in _MICROSOFT)


def read_claims(
    claims: Mapping[str, Any], provider: Provider, now: datetime
) -> tuple[Principal, datetime]:
    """Return the principal in verified claims, and when the claims expire.

    Raises:
        Unauthenticated: the token is for another audience, another time, or not for an API.
    """
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    if issuer not in provider.issuers:
        raise _invalid("The access token was issued by an authority that is not trusted here.")
    if provider.tenant is not None and _text(claims, "tid").lower() != provider.tenant:
        raise _invalid("The access token was issued for another tenant.")
    if not audiences_in(claims) & provider.audiences:
        raise _invalid(
            "The access token is for another resource. Ask for one for "
            f"{min(provider.audiences, key=len)}."
        )
    if not _is_for_apis(claims):
        raise _invalid("That is not an access token. Send the one that is for calling the API.")
    ends = _check_times(claims, now)
    scopes = _scopes(claims, provider)
    client = claims.get("azp") or claims.get("appid") or claims.get("client_id")
    is_app = _is_app(claims, scopes, provider, client)
    names = (
        ("app_displayname", "azp", "client_id")
        if is_app
        else ("preferred_username", "upn", "email", "name")
    )
    return (
        Principal(
            tenant=provider.realm,
            oid=_oid(claims, provider, subject),
            kind=PrincipalKind.APP if is_app else PrincipalKind.USER,
            name=next((str(claims[name]) for name in names if claims.get(name)), subject),
            client_id=ClientId(client.lower()) if isinstance(client, str) else None,
            scopes=frozenset() if is_app else scopes,
            roles=words(claims.get("roles")),
            issuer=provider.issuer,
            subject=subject,
        ),
        ends,
    )


def read_id_token(
    claims: Mapping[str, Any], provider: Provider, now: datetime, *, client_id: str, nonce: str
) -> str:
    """Return the object id of the user that an ID token's verified claims name.

    Raises:
        Unauthenticated: it is for another issuer, client, sign-in or time (OpenID Connect
            3.1.3.7).
    """
    if _text(claims, "iss") not in provider.issuers:
        raise _invalid("The ID token was issued by an authority that is not trusted here.")
    check_id_token(claims, now, client_id=client_id, nonce=nonce)
    if provider.tenant is not None and _text(claims, "tid").lower() != provider.tenant:
        raise _invalid("The ID token was issued for another tenant.")
    return _oid(claims, provider, _text(claims, "sub"))


def check_id_token(claims: Mapping[str, Any], now: datetime, *, client_id: str, nonce: str) -> None:
    """Refuse an ID token for another client, sign-in or time.

    Raises:
        Unauthenticated: the token is refused.
    """
    named = audiences_in(claims)
    authorized = claims.get("azp")
    if client_id.lower() not in named or (
        (len(named) > 1 or authorized is not None) and str(authorized).lower() != client_id.lower()
    ):
        raise _invalid("The ID token was issued to another application.")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _invalid("The ID token is of another sign-in.")
    _check_times(claims, now)


def _is_for_apis(claims: Mapping[str, Any]) -> bool:
    """Tell whether a token is an access token, rather than an ID token or a refresh token.

    A provider may issue all of them for one audience. ID tokens have hashes, or a nonce and no
    scopes; refresh tokens have a type.
    """
    kinds = {str(claims[name]).lower() for name in _KINDS if name in claims}
    about_sign_in = "nonce" in claims and not words(claims.get("scp") or claims.get("scope"))
    return (
        kinds <= {"access", "bearer", "jwt", "at+jwt"}
        and not about_sign_in
        and "at_hash" not in claims
        and "c_hash" not in claims
    )


def _is_app(
    claims: Mapping[str, Any], scopes: frozenset[str], provider: Provider, client: object
) -> bool:
    """Tell whether an application got the token for itself.

    Entra says so only if the registration requests ``idtyp``; else the subject of such a token is
    its object id, which a user's token never has. Other providers use the client id as the subject
    (RFC 9068, 2.2). A token with scopes is limited by them in any case.
    """
    if claims.get("idtyp") == "app":
        return True
    if scopes:
        return False
    if provider.tenant is not None:
        return "idtyp" not in claims and claims.get("oid") == claims.get("sub")
    return isinstance(client, str) and claims.get("sub") == client


def _oid(claims: Mapping[str, Any], provider: Provider, subject: str) -> str:
    """Return the principal's id. No principal of another provider can have the same one."""
    if provider.tenant is not None:
        return _text(claims, "oid").lower()
    return str(uuid5(NAMESPACE_URL, f"{provider.issuer}#{subject}"))


def _scopes(claims: Mapping[str, Any], provider: Provider) -> frozenset[str]:
    """Return scopes by their short names: some providers put the audience in front."""
    fronts = tuple(f"{audience}/" for audience in provider.audiences)
    found = words(claims.get("scp") or claims.get("scope"))
    short = {next((s.removeprefix(f) for f in fronts if s.startswith(f)), s) for s in found}
    return frozenset(short | set(Scope)) if _EVERYTHING in short else frozenset(short)


def audiences_in(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return a token's audience in its canonical spelling."""
    named = claims.get("aud")
    every = named if isinstance(named, list) else [named]
    return frozenset(plain_audience(one) for one in every if isinstance(one, str))


def plain_audience(text: str) -> str:
    """Return an audience in its canonical spelling."""
    return text.strip().removesuffix("/").lower()


def own_audiences(text: str) -> frozenset[str]:
    """Return the spellings of the configured audiences: URIs, or a client id's GUID.

    Entra's v2 tokens name an application by its id, v1 tokens by its URI.
    """
    plain = {plain_audience(one) for one in text.split()}
    return frozenset(plain | {f"api://{one}" for one in plain if "/" not in one})


def opens_fabric(audiences: frozenset[str]) -> bool:
    """Tell whether one of the audiences is Fabric's own."""
    return not AUDIENCES.isdisjoint(audiences)


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    ends, begins = moment(claims.get("exp")), moment(claims.get("nbf", claims.get("iat")))
    if ends is None or begins is None:
        raise _invalid("The access token lacks claims that it needs: exp, and nbf or iat.")
    if now >= ends + CLOCK_SKEW:
        raise Unauthenticated("TokenExpired", "The access token has expired. Get a new one.")
    if begins > now + CLOCK_SKEW:
        raise _invalid("The access token is not valid yet. Check the clocks.")
    return ends + CLOCK_SKEW


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise _invalid(f"The access token lacks a claim that it needs: {name}.")
    return value


def _invalid(message: str) -> Unauthenticated:
    return Unauthenticated("InvalidToken", message)
