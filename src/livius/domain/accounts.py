"""Users, client applications, and the authority's grants, sign-ins and consents.

Only hashes of secrets are stored: slow ones of passwords, which people choose, and SHA-256 of
random ones (client secrets, codes, refresh tokens, cookies).
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from livius.domain.digests import challenge_of
from livius.domain.ids import ClientId, PrincipalId
from livius.domain.messages import Message

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_LONGEST_URI: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person of the tenant. ``username`` is in lower case and looks like an e-mail address.

    A disabled user keeps its roles and records, and can neither sign in nor use a token.
    """

    oid: PrincipalId
    username: str
    name: str
    password_hash: str
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """The stored record of a client secret. ``hint`` is its first characters, for people."""

    id: str
    hint: str
    hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate with which an application may sign in. Thumbprints are upper-case hex."""

    sha1: str
    sha256: str
    public_key_pem: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientApplication:
    """An application that may request tokens.

    ``object_id`` is its principal in the tenant. ``scopes`` are the short names of the Fabric
    scopes that it may request of users. A ``public`` application has no credential, so it signs
    users in only with PKCE. A ``trusted`` one is ours and needs no consent.
    """

    client_id: ClientId
    name: str
    object_id: str
    created_at: datetime
    secrets: tuple[ClientSecret, ...] = ()
    certificates: tuple[ClientCertificate, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    public: bool = False
    trusted: bool = False

    def answers_at(self, uri: str) -> bool:
        """Tell whether a redirect URI is one that was registered; on loopback the port is free.

        A trusted application's port is not free, because no consent page stops the code.
        """
        if uri in self.redirect_uris:
            return True
        return not self.trusted and any(_same_place(uri, one) for one in self.redirect_uris)

    def is_assured_at(self, uri: str) -> bool:
        """Tell whether only this application can use a code sent to its redirect URIs.

        Any program of this machine can listen at a port that was not registered, and any program
        that gets a public application's code can have requested it (RFC 8252, 8.6).
        """
        return not self.public or uri in self.redirect_uris


class GrantKind(StrEnum):
    """The kinds of grants: each can be exchanged for tokens."""

    CODE = "code"
    REFRESH = "refresh"
    DEVICE = "device"


class Decision(StrEnum):
    """The user's decision on a device's request."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An issued code, device code or refresh token.

    ``key`` is its hash. All grants of one sign-in share a ``family``. ``scope`` is the requested
    text; ``user`` is None until the user approves a device; ``caller`` is the address of a device's
    request.
    """

    key: str
    kind: GrantKind
    family: str
    client_id: ClientId
    user: PrincipalId | None
    scope: str
    created_at: datetime
    expires_at: datetime
    spent_at: datetime | None = None
    user_code: str | None = None
    decision: Decision = Decision.APPROVED
    redirect_uri: str = ""
    challenge: str = ""
    nonce: str = ""
    caller: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A browser in which a person has signed in. ``key`` is the hash of its cookie."""

    key: str
    user: PrincipalId
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A user's consent to an application: the scopes on one resource."""

    user: PrincipalId
    client_id: ClientId
    resource: str
    scopes: frozenset[str]
    given_at: datetime


def is_challenge(text: str) -> bool:
    """Tell whether a text is a PKCE challenge by S256."""
    return _CHALLENGE.fullmatch(text) is not None


def verifies(verifier: str, challenge: str) -> bool:
    """Tell whether an S256 challenge was made from this PKCE verifier."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    return hmac.compare_digest(challenge_of(verifier), challenge)


def redirect_uri_fault(uri: str) -> Message | None:
    """Return why a URI can't be registered as an application's redirect URI, or None if it can."""
    if len(uri) > _LONGEST_URI or not uri.isascii() or any(one.isspace() for one in uri):
        return Message("it must be a URI of up to 2000 ASCII characters without spaces")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return Message("it is not a URI")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return Message("it must begin with https://, or on loopback with http://")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        return Message("http is for loopback only (http://localhost); use https")
    if parts.username is not None or parts.fragment or "*" in uri or "\\" in uri:
        return Message("it must have no user, no fragment, no wildcard and no backslash")
    return None


def origin_of(uri: str) -> str:
    """Return scheme, host and port of a URI."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _same_place(uri: str, registered: str) -> bool:
    if redirect_uri_fault(uri) is not None:
        return False
    asked, known = urlsplit(uri), urlsplit(registered)
    return (
        asked.scheme == known.scheme == "http"
        and asked.hostname == known.hostname
        and asked.hostname in LOOPBACK_HOSTS
        and (asked.path or "/") == (known.path or "/")
        and asked.query == known.query
    )
