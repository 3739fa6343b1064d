"""Issues tokens with Entra's claims, in its first and second form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from livius.domain.accounts import ClientApplication, User
from livius.domain.digests import base64url
from livius.domain.ids import new_id
from livius.domain.realm import Address
from livius.domain.resources import Resource
from livius.domain.tokens import TOKEN_LIFETIME
from livius.usecases.identity.authority import Authority

LIFETIME_SECONDS: Final = int(TOKEN_LIFETIME.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """The address, form, application and authentication for which a token is issued."""

    address: Address
    version: int
    application: ClientApplication
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """An access token and its lifetime in seconds."""

    access_token: str = field(repr=False)
    expires_in: int = LIFETIME_SECONDS


def app_token(authority: Authority, issue: Issue, *, audience: str) -> IssuedToken:
    """Return an application's own access token. It carries no scopes."""
    claims = {
        **_common(authority, issue, audience),
        "app_displayname": issue.application.name,
        "idtyp": "app",
        "oid": issue.application.object_id,
        "roles": [],
        "sub": issue.application.object_id,
    }
    return IssuedToken(access_token=authority.signer.sign(claims))


def user_token(
    authority: Authority,
    issue: Issue,
    user: User,
    *,
    resource: Resource,
    audience: str,
    scopes: Iterable[str],
) -> IssuedToken:
    """Return an access token by which an application acts for a user."""
    claims = {
        **_common(authority, issue, audience),
        **_names(issue, user),
        "app_displayname": issue.application.name,
        "idtyp": "user",
        "oid": user.oid,
        "scp": " ".join(sorted(scopes)),
        "sub": _pairwise(user, resource.name),
    }
    return IssuedToken(access_token=authority.signer.sign(claims))


def id_token(authority: Authority, issue: Issue, user: User, *, nonce: str) -> str:
    """Return the ID token, which tells an application the signed-in user."""
    claims = {
        **_common(authority, issue, issue.application.client_id),
        **_names(issue, user),
        "oid": user.oid,
        "sub": _pairwise(user, issue.application.client_id),
    }
    for name in ("azp", "azpacr", "appid", "appidacr"):
        claims.pop(name, None)
    return authority.signer.sign({**claims, "nonce": nonce} if nonce else claims)


def client_info(authority: Authority, user: User) -> str:
    """Return the client info by which MSAL distinguishes accounts."""
    return base64url(json.dumps({"uid": user.oid, "utid": authority.realm.tenant}).encode())


def _common(authority: Authority, issue: Issue, audience: str) -> dict[str, Any]:
    now = int(authority.clock.now().timestamp())
    client = issue.application.client_id
    named = (
        {"azp": client, "azpacr": issue.proof, "ver": "2.0"}
        if issue.version == 2  # noqa: PLR2004 - Entra has two
        else {"appidacr": issue.proof, "ver": "1.0"}
    )
    return {
        "aud": audience,
        "iss": issue.address.issuer(authority.realm, version=issue.version),
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS,
        "appid": client,
        "tid": authority.realm.tenant,
        "uti": new_id(),
        **named,
    }


def _names(issue: Issue, user: User) -> dict[str, str]:
    if issue.version == 1:
        return {"name": user.name, "upn": user.username, "unique_name": user.username}
    return {"name": user.name, "preferred_username": user.username}


def _pairwise(user: User, whom: str) -> str:
    """Return the pairwise name of a user for one resource or application."""
    return base64url(hashlib.sha256(f"{user.oid} {whom}".encode()).digest())
