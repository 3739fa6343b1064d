"""Users, client applications, and what the authority remembers of what it granted.

Secrets are known by hashes alone: slow ones for passwords, which people choose, and a plain SHA-256
for what we draw ourselves (client secrets, codes, refresh tokens, cookies).
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
    """A person of the tenant. ``username`` is in lower case and looks like an e-mail address."""

    oid: PrincipalId
    username: str
    name: str
    password_hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """What is kept of a client secret. ``hint`` is its first characters, for people."""

    id: str
    hint: str
    hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate that an application may prove itself with. Thumbprints are upper-case hex."""

    sha1: str
    sha256: str
    public_key_pem: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientApplication:
    """An application that may ask for tokens. ``object_id`` is its principal in the tenant.

    ``scopes`` are the short names of Fabric's scopes that it may ask users for. A ``public`` one
    signs people in without a credential of its own, and so only with PKCE. A ``trusted`` one is
    ours: nobody is asked for consent to it.
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

        Not for a trusted one: nobody is asked before a code leaves for it.
        """
        if uri in self.redirect_uris:
            return True
        return not self.trusted and any(_same_place(uri, one) for one in self.redirect_uris)

    def is_assured_at(self, uri: str) -> bool:
        """Tell whether nobody else can use a code that is sent to one of its redirect URIs.

        Any program of this machine can wait at a port that was not registered, and whoever gets a
        public application's code may have asked for it (RFC 8252, 8.6).
        """
        return not self.public or uri in self.redirect_uris


class GrantKind(StrEnum):
    """What can be turned into tokens."""

    CODE = "code"
    REFRESH = "refresh"
    DEVICE = "device"


class Decision(StrEnum):
    """What the person said to a device that asks."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A code, device code or refresh token that was handed out.

    ``key`` is the hash of what was handed out. All that came of one sign-in has one ``family``.
    ``scope`` is the text that was asked for; ``user`` is None until a device's was approved;
    ``caller`` is the address that a device asked from.
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
    """What a user let an application do with a resource."""

    user: PrincipalId
    client_id: ClientId
    resource: str
    scopes: frozenset[str]
    given_at: datetime


def is_challenge(text: str) -> bool:
    """Tell whether a text is a PKCE challenge by S256."""
    return _CHALLENGE.fullmatch(text) is not None


def verifies(verifier: str, challenge: str) -> bool:
    """Tell whether a PKCE verifier is the one that the S256 challenge was made of."""
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
