"""Tokens, the keys that sign them, and the applications that request them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from livius.domain.accounts import (
    ClientApplication,
    ClientCertificate,
    Consent,
    Decision,
    Grant,
    SignIn,
    User,
)
from livius.domain.audit import AuditEntry
from livius.domain.ids import ClientId, PrincipalId, SessionId
from livius.domain.principal import Principal

Present: TypeAlias = Callable[[Principal], Awaitable[None]]
"""Raises Unauthenticated for a principal that was removed."""


class TokenVerifier(Protocol):
    """The resource side's verifier of access tokens."""

    async def bearer_of(self, token: str) -> Principal:
        """Return the bearer of an access token.

        Quick enough for every request: a token that was seen before costs no signature check.

        Raises:
            Unauthenticated: ``TokenExpired`` where the token was valid once, else ``InvalidToken``.
        """
        ...


class SessionTokens(Protocol):
    """The source of the tokens that a session's code gets."""

    def offer(self, session: SessionId, caller: Principal, token: str) -> None:
        """Take note of the verified token with which a caller sent code to a session.

        The session's tokens may be obtained in exchange for it.
        """
        ...

    async def issue(self, session: SessionId, principal: Principal, audience: str) -> str:
        """Return a valid token of the principal that a session's code acts for, within its scopes.

        ``audience`` is a short name of notebookutils or a URL.

        Raises:
            Invalid: there is no such audience.
            Forbidden: a scope is missing; the message names it.
            LiviusError: no token can be obtained; the message has the next step.
        """
        ...


class Signer(Protocol):
    """The authority's signing keys."""

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the claims as a signed token."""
        ...

    def read(self, token: str) -> Mapping[str, Any] | None:
        """Return the unchecked claims of a token that one of the keys signed, or None."""
        ...

    def key_set(self) -> Mapping[str, Any]:
        """Return the public halves as a JSON Web Key Set: every key that still verifies."""
        ...


class Directory(Protocol):
    """Users, client applications and consents.

    Each method is one transaction, which also writes the given entry to the audit log if it changed
    something.
    """

    async def knows(self, oid: PrincipalId, client_id: ClientId | None) -> bool:
        """Tell whether the user or application with that id exists, and the client application.

        A disabled user counts as none.
        """
        ...

    async def user(self, oid: PrincipalId) -> User | None:
        """Return a user."""
        ...

    async def user_named(self, username: str) -> User | None:
        """Return a user by the lower-case username."""
        ...

    async def users(self) -> Sequence[User]:
        """Return all users, by username."""
        ...

    async def add_user(self, user: User, *, audit: AuditEntry | None = None) -> bool:
        """Insert a user; False if the username is taken."""
        ...

    async def set_password(
        self, oid: PrincipalId, password_hash: str, *, audit: AuditEntry | None = None
    ) -> bool:
        """Replace a user's password; False if there is no user.

        All sign-ins, grants and portal sessions of the user end with it.
        """
        ...

    async def set_user_disabled(
        self, oid: PrincipalId, at: datetime | None, *, audit: AuditEntry | None = None
    ) -> bool:
        """Disable a user, or with None enable it again; False if it is so already, or is none.

        With a disabled user end its sign-ins, grants and portal sessions.
        """
        ...

    async def remove_user(self, oid: PrincipalId, *, audit: AuditEntry | None = None) -> bool:
        """Delete a user with its records; False if there is none.

        Its records are its roles, personal access tokens, consents, sign-ins, grants and portal
        sessions.
        """
        ...

    async def application(self, client_id: ClientId) -> ClientApplication | None:
        """Return a client application."""
        ...

    async def applications(self) -> Sequence[ClientApplication]:
        """Return all client applications, by name."""
        ...

    async def put_application(
        self, application: ClientApplication, *, audit: AuditEntry | None = None
    ) -> None:
        """Insert an application, or replace the one with its client id."""
        ...

    async def change_application(
        self,
        client_id: ClientId,
        change: Callable[[ClientApplication], ClientApplication],
        *,
        audit: AuditEntry | None = None,
    ) -> ClientApplication | None:
        """Replace an application by the function's result; None if there is none."""
        ...

    async def remove_application(
        self, client_id: ClientId, *, audit: AuditEntry | None = None
    ) -> bool:
        """Delete an application with its records; False if there is none.

        Its records are its roles, personal access tokens and grants, and consents to it and by it.
        """
        ...

    async def consent(
        self, user: PrincipalId, client_id: ClientId, resource: str
    ) -> Consent | None:
        """Return a user's consent to an application for a resource."""
        ...

    async def consents(self) -> Sequence[Consent]:
        """Return all consents, oldest first."""
        ...

    async def add_consent(self, consent: Consent, *, audit: AuditEntry | None = None) -> bool:
        """Store a consent, in addition to earlier scopes.

        False if the user or application was removed meanwhile.
        """
        ...

    async def revoke_consent(
        self, user: PrincipalId, client_id: ClientId, *, audit: AuditEntry | None = None
    ) -> bool:
        """Delete a user's consents to an application, with its grants; False if there was none."""
        ...


class Grants(Protocol):
    """Codes, refresh tokens, device codes, sign-ins. Each method is one transaction."""

    async def add_grant(self, grant: Grant) -> bool:
        """Store a grant and delete those long expired. False if user or application was removed."""
        ...

    async def add_device(self, grant: Grant, *, of_caller: int, of_all: int) -> bool:
        """Store a device's grant and delete those long expired.

        False if its user code is taken, too many wait (see `devices_full_until`), or the
        application was removed.
        """
        ...

    async def renew(self, grant: Grant) -> bool:
        """Store a further grant of a family; False if the family was ended meanwhile."""
        ...

    async def grant(self, key: str) -> Grant | None:
        """Return a grant, spent or not."""
        ...

    async def spend_grant(self, key: str, *, at: datetime) -> bool:
        """Mark a grant as spent; False if it was spent before."""
        ...

    async def end_family(self, family: str) -> None:
        """Delete all grants of one sign-in."""
        ...

    async def devices_full_until(
        self, caller: str, *, at: datetime, of_caller: int, of_all: int
    ) -> datetime | None:
        """Return when the first of too many undecided device grants ends; None if there is room.

        Too many are ``of_caller`` of one caller's, or ``of_all``.
        """
        ...

    async def waiting_device(self, user_code: str) -> Grant | None:
        """Return the device grant that a user code names, if it is still undecided."""
        ...

    async def decide_device(self, key: str, decision: Decision, user: PrincipalId) -> bool:
        """Record the decision on a device; False if it was decided, or user or grant is gone."""
        ...

    async def add_sign_in(
        self, sign_in: SignIn, *, password_hash: str, audit: AuditEntry | None = None
    ) -> bool:
        """Store a browser's sign-in and delete expired ones.

        False if the user was removed, or has another password than the one that was checked.
        """
        ...

    async def sign_in(self, key: str) -> SignIn | None:
        """Return a browser's sign-in."""
        ...

    async def remove_sign_in(self, key: str) -> None:
        """Delete a browser's sign-in."""
        ...


class IdentityStore(Directory, Grants, Protocol):
    """All records of the embedded authority."""


class AssertionReplayCache(Protocol):
    """The client assertions that were already used; stored across restarts."""

    async def spend(self, key: str, *, until: datetime) -> bool:
        """Record a use until the assertion has expired.

        Returns:
            False if this use was made before.

        Raises:
            Unavailable: too many are recorded; none is deleted early.
        """
        ...


class SignInLinks(Protocol):
    """Links that the operator makes; each signs a user in once."""

    async def spend(self, secret: str, *, now: datetime) -> PrincipalId | None:
        """Return the user whom a link signs in, once; None for an invalid link.

        Of several simultaneous calls with one secret, one gets the user.
        """
        ...


class AssertionFault(StrEnum):
    """The reason why a client assertion is refused."""

    MALFORMED = "malformed"
    UNKNOWN_CERTIFICATE = "unknown certificate"
    BAD_SIGNATURE = "bad signature"


class AssertionRefused(Exception):
    """A client assertion is refused."""

    def __init__(self, fault: AssertionFault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAssertion:
    """The claims of an assertion and the registered certificate that signed them."""

    claims: Mapping[str, Any]
    certificate: ClientCertificate


class AssertionVerifier(Protocol):
    """The cryptography of client assertions. The caller checks the claims."""

    def verify(self, assertion: str, certificates: Sequence[ClientCertificate]) -> SignedAssertion:
        """Return the claims that one of the certificates has signed.

        Raises:
            AssertionRefused: none of them has.
        """
        ...
