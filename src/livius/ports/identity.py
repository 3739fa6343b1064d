"""Tokens, the keys that sign them, and the applications that ask for them."""

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
"""Raises Unauthenticated for a principal that is gone."""


class TokenVerifier(Protocol):
    """What the resource side trusts."""

    async def bearer_of(self, token: str) -> Principal:
        """Return the bearer of an access token.

        Quick enough for every request: a token that was seen before costs no signature check.

        Raises:
            Unauthenticated: ``TokenExpired`` where the token was good once, else ``InvalidToken``.
        """
        ...


class SessionTokens(Protocol):
    """Where the tokens come from that a session's code gets."""

    def offer(self, session: SessionId, caller: Principal, token: str) -> None:
        """Take note of the verified token by which code came into a session.

        It may be what the session's own are exchanged for.
        """
        ...

    async def issue(self, session: SessionId, principal: Principal, audience: str) -> str:
        """Return a good token of the principal that a session's code acts for, within its scopes.

        ``audience`` is a short name of notebookutils or a URL.

        Raises:
            Invalid: there is no such audience.
            Forbidden: a scope is missing; the message names it.
            LiviusError: it can't be had; the message says what to do.
        """
        ...


class Signer(Protocol):
    """The authority's signing keys."""

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the claims as a signed token."""
        ...

    def read(self, token: str) -> Mapping[str, Any] | None:
        """Return the claims of a token that one of the keys signed, whatever they say, or None."""
        ...

    def key_set(self) -> Mapping[str, Any]:
        """Return the public halves as a JSON Web Key Set: every key that still verifies."""
        ...


class Directory(Protocol):
    """Users, client applications and consents. Each method is one transaction.

    The entry that it is given is written to the audit log in it, where something was done.
    """

    async def knows(self, oid: PrincipalId, client_id: ClientId | None) -> bool:
        """Tell whether there is a user or application of that id, and the client application."""
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

    async def remove_user(self, oid: PrincipalId, *, audit: AuditEntry | None = None) -> bool:
        """Delete a user with all that it may do and has open; False if there is none.

        That is its roles, personal access tokens, consents, sign-ins, grants and portal sessions.
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
        """Insert an application, or replace what is known under its client id."""
        ...

    async def change_application(
        self,
        client_id: ClientId,
        change: Callable[[ClientApplication], ClientApplication],
        *,
        audit: AuditEntry | None = None,
    ) -> ClientApplication | None:
        """Replace an application by what the function makes of it; None if there is none."""
        ...

    async def remove_application(
        self, client_id: ClientId, *, audit: AuditEntry | None = None
    ) -> bool:
        """Delete an application with all that it may do; False if there is none.

        That is its roles, personal access tokens and grants, and consents to it and by it.
        """
        ...

    async def consent(
        self, user: PrincipalId, client_id: ClientId, resource: str
    ) -> Consent | None:
        """Return what a user let an application do with a resource."""
        ...

    async def consents(self) -> Sequence[Consent]:
        """Return all consents, oldest first."""
        ...

    async def add_consent(self, consent: Consent, *, audit: AuditEntry | None = None) -> bool:
        """Remember a consent; scopes that were consented to before stay so.

        False if user or application were removed meanwhile.
        """
        ...

    async def revoke_consent(
        self, user: PrincipalId, client_id: ClientId, *, audit: AuditEntry | None = None
    ) -> bool:
        """Forget a user's consents to an application, and end its grants; False if none was."""
        ...


class Grants(Protocol):
    """Codes, refresh tokens, device codes, sign-ins. Each method is one transaction."""

    async def add_grant(self, grant: Grant) -> bool:
        """Remember a grant; those long expired are forgotten.

        False if user or application were removed.
        """
        ...

    async def add_device(self, grant: Grant, *, of_caller: int, of_all: int) -> bool:
        """Remember a device's grant; those long expired are forgotten.

        False if its user code is taken, too many wait (see `devices_full_until`), or the
        application was removed.
        """
        ...

    async def renew(self, grant: Grant) -> bool:
        """Remember a further grant of a family; False if the family was ended meanwhile."""
        ...

    async def grant(self, key: str) -> Grant | None:
        """Return a grant, spent or not."""
        ...

    async def spend_grant(self, key: str, *, at: datetime) -> bool:
        """Mark a grant as spent; False if it was spent before."""
        ...

    async def end_family(self, family: str) -> None:
        """Delete all that came of one sign-in."""
        ...

    async def devices_full_until(
        self, caller: str, *, at: datetime, of_caller: int, of_all: int
    ) -> datetime | None:
        """Return when the first of too many undecided device grants ends; None if there is room.

        Too many are ``of_caller`` of one caller's, or ``of_all``.
        """
        ...

    async def waiting_device(self, user_code: str) -> Grant | None:
        """Return the device grant that a user code names and nobody has decided on yet."""
        ...

    async def decide_device(self, key: str, decision: Decision, user: PrincipalId) -> bool:
        """Note what the user said to a device; False if it was decided, or one of them is gone."""
        ...

    async def add_sign_in(
        self, sign_in: SignIn, *, password_hash: str, audit: AuditEntry | None = None
    ) -> bool:
        """Remember a browser's sign-in; expired ones are forgotten.

        False if the user was removed, or has another password than the one that was checked.
        """
        ...

    async def sign_in(self, key: str) -> SignIn | None:
        """Return a browser's sign-in."""
        ...

    async def remove_sign_in(self, key: str) -> None:
        """Forget a browser's sign-in."""
        ...


class IdentityStore(Directory, Grants, Protocol):
    """All that the embedded authority keeps."""


class AssertionReplayCache(Protocol):
    """Which client assertions were spent already; remembered across restarts."""

    async def spend(self, key: str, *, until: datetime) -> bool:
        """Remember a use until the assertion is worthless anyway.

        Returns:
            False if this use was made before.

        Raises:
            Unavailable: too many are remembered; none is forgotten early.
        """
        ...


class SignInLinks(Protocol):
    """Links that the operator makes and that sign a user in once."""

    async def spend(self, secret: str, *, now: datetime) -> PrincipalId | None:
        """Return the user whom a link signs in, and never again; None for one without effect.

        Of several calls at once with one secret, one gets the user.
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
