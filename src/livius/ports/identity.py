"""Tokens, the keys that sign them, and the applications that ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from livius.domain.identity import ClientApplication, ClientCertificate, Principal


class TokenVerifier(Protocol):
    """What the resource side trusts."""

    def verify(self, token: str) -> Principal:
        """Return the bearer of an access token.

        Quick enough for every request: a token that was seen before costs no signature check.

        Raises:
            Unauthenticated: ``TokenExpired`` where the token was good once, else ``InvalidToken``.
        """
        ...


class Signer(Protocol):
    """The authority's signing keys."""

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the claims as a signed token."""
        ...

    def key_set(self) -> Mapping[str, Any]:
        """Return the public halves as a JSON Web Key Set: every key that still verifies."""
        ...


class ClientRegistry(Protocol):
    """The client applications."""

    async def client(self, client_id: str) -> ClientApplication | None:
        """Return an application, or None."""
        ...


class UsedAssertions(Protocol):
    """Which client assertions were spent already; remembered across restarts."""

    async def spend(self, key: str, *, until: datetime) -> bool:
        """Remember a use until the assertion is worthless anyway.

        Returns:
            False if this use was made before.

        Raises:
            Unavailable: too many are remembered; none is forgotten early.
        """
        ...


class AssertionFault(StrEnum):
    """Why a client assertion proves nothing."""

    MALFORMED = "malformed"
    UNKNOWN_CERTIFICATE = "unknown certificate"
    BAD_SIGNATURE = "bad signature"


class AssertionRefused(Exception):
    """A client assertion proves nothing."""

    def __init__(self, fault: AssertionFault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAssertion:
    """The claims of an assertion and the registered certificate that signed them."""

    claims: Mapping[str, Any]
    certificate: ClientCertificate


class AssertionVerifier(Protocol):
    """The cryptography of client assertions. What the claims say is for the caller to judge."""

    def verify(self, assertion: str, certificates: Sequence[ClientCertificate]) -> SignedAssertion:
        """Return what one of the certificates has signed.

        Raises:
            AssertionRefused: none of them has.
        """
        ...
