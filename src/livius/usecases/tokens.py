"""Issuing access tokens to client applications that act for themselves.

What is refused, and under which of Entra's numbers, is decided here; the numbers are what clients
and people search for. Cryptography is behind the ports.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from livius.domain.errors import Unauthenticated
from livius.domain.identity import (
    CLOCK_SKEW,
    LARGEST_TOKEN,
    TOKEN_LIFETIME,
    Address,
    ClientApplication,
    Realm,
    accepted_audience,
    moment,
    secret_matches,
)
from livius.domain.ids import new_id
from livius.ports.clock import Clock
from livius.ports.identity import (
    AssertionFault,
    AssertionRefused,
    AssertionVerifier,
    ClientRegistry,
    Signer,
    UsedAssertions,
)

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_ASSERTION: Final = timedelta(hours=24)

_LONGEST_JTI: Final = 256
_USED_BEFORE: Final = 50013
_HASHES_AT_ONCE: Final = 4


class TokenRefused(Unauthenticated):
    """The token endpoint says no.

    ``error`` is OAuth's word for it and ``number`` is Entra's; ``code`` spells the number as
    ``AADSTS…``. ``retry_after`` is set where the same request may succeed later.
    """

    def __init__(
        self, number: int, error: str, message: str, *, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(f"AADSTS{number}", message)
        self.number = number
        self.error = error
        self.retry_after = retry_after


class FailureLimit:
    """Counts what an application got wrong lately, and makes it wait after too much of it.

    Counted by application and caller, so that a stranger elsewhere cannot lock an application
    out; callers of one machine cannot be told apart. Bounded: the longest unseen is forgotten.
    """

    def __init__(
        self,
        *,
        most: int = 10,
        within: timedelta = timedelta(minutes=1),
        remembered: int = 4096,
    ) -> None:
        self._most = most
        self._within = within.total_seconds()
        self._remembered = remembered
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, who: tuple[str, str], *, at: float) -> None:
        """Refuse if there were too many failures within the time.

        Raises:
            TokenRefused: with the time to wait.
        """
        failures = self._failures.get(who)
        while failures and failures[0] <= at - self._within:
            failures.popleft()
        if failures and len(failures) >= self._most:
            wait = timedelta(seconds=max(1, math.ceil(failures[0] + self._within - at)))
            raise TokenRefused(
                90055,
                "temporarily_unavailable",
                "There were too many failed requests for this application. "
                f"Correct its credential, then try again in {wait.seconds} seconds.",
                retry_after=wait,
            )

    def count(self, who: tuple[str, str], *, at: float) -> None:
        """Remember a failure."""
        self._failures.setdefault(who, deque(maxlen=self._most)).append(at)
        self._failures.move_to_end(who)
        if len(self._failures) > self._remembered:
            self._failures.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What the embedded authority works with."""

    realm: Realm
    clients: ClientRegistry
    used: UsedAssertions
    assertions: AssertionVerifier
    signer: Signer
    clock: Clock
    failures: FailureLimit = field(default_factory=FailureLimit)
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_HASHES_AT_ONCE))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTokenRequest:
    """A client-credentials request. ``caller`` is the peer's address."""

    address: Address
    caller: str
    client_id: str
    scope: str
    secret: str | None = field(default=None, repr=False)
    assertion: str | None = field(default=None, repr=False)
    assertion_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token and how long it is good for."""

    access_token: str = field(repr=False)
    expires_in: int


async def issue_for_client(authority: Authority, asked: ClientTokenRequest) -> IssuedToken:
    """Return an access token for an application that has proved itself.

    Raises:
        TokenRefused: the request is wrong, or the proof is.
    """
    audience = _audience(asked.scope)
    application = await _application(authority, asked.client_id)
    who = (application.client_id, asked.caller)
    authority.failures.check(who, at=authority.clock.monotonic())
    try:
        proof = await _prove(authority, application, asked, audience)
    except TokenRefused as refused:
        # A second use is no guess: threads that share one MSAL object make it by accident.
        if refused.error == "invalid_client" and refused.number != _USED_BEFORE:
            authority.failures.count(who, at=authority.clock.monotonic())
        raise
    claims = _claims(authority, application, asked.address, audience=audience, proof=proof)
    return IssuedToken(
        access_token=authority.signer.sign(claims),
        expires_in=int(TOKEN_LIFETIME.total_seconds()),
    )


def _audience(scope: str) -> str:
    """Return the one resource that a client-credentials scope may name."""
    resource, default, rest = scope.strip().partition("/.default")
    if not default or rest:
        raise TokenRefused(
            70011,
            "invalid_scope",
            "The provided value for scope is not valid. An application that acts for itself asks "
            "for one scope, <resource>/.default, for example "
            "https://api.fabric.microsoft.com/.default.",
        )
    audience = accepted_audience(resource)
    if audience is None:
        raise TokenRefused(
            500011,
            "invalid_resource",
            "The resource principal named in the scope was not found in the tenant. Ask for "
            "https://api.fabric.microsoft.com/.default or "
            "https://analysis.windows.net/powerbi/api/.default.",
        )
    return audience


async def _application(authority: Authority, client_id: str) -> ClientApplication:
    """Return the application that a request names. Entra, too, says openly that there is none."""
    try:
        found = await authority.clients.client(str(UUID(client_id)))
    except ValueError:
        found = None
    if found is None:
        raise TokenRefused(
            700016,
            "unauthorized_client",
            "The application with the given client_id was not found in the directory "
            f"{authority.realm.tenant}. Check the client id and the tenant.",
        )
    return found


async def _prove(
    authority: Authority, application: ClientApplication, asked: ClientTokenRequest, audience: str
) -> str:
    """Check the credential. Returns ``azpacr``: "1" for a secret, "2" for a certificate."""
    if asked.assertion is not None:
        await _check_assertion(authority, application, asked, audience)
        return "2"
    if asked.secret is not None:
        await _check_secret(authority, application, asked)
        return "1"
    raise TokenRefused(
        7000216,
        "invalid_client",
        "'client_assertion' or 'client_secret' is required for the 'client_credentials' grant "
        "type.",
    )


async def _check_secret(
    authority: Authority, application: ClientApplication, asked: ClientTokenRequest
) -> None:
    who, secret = (application.client_id, asked.caller), asked.secret or ""
    async with authority.hashing:  # each takes 16 MiB and some milliseconds
        # Once more: those in front of this one in the queue may have failed meanwhile.
        authority.failures.check(who, at=authority.clock.monotonic())
        for kept in application.secrets:
            if await asyncio.to_thread(secret_matches, secret, kept):
                return
    raise TokenRefused(
        7000215,
        "invalid_client",
        "Invalid client secret provided. Ensure that the secret sent in the request is the "
        f"client secret's value, not its id, for the application {application.client_id}.",
    )


async def _check_assertion(
    authority: Authority, application: ClientApplication, asked: ClientTokenRequest, audience: str
) -> None:
    if asked.assertion_type != ASSERTION_TYPE:
        raise TokenRefused(
            900144,
            "invalid_request",
            "The request body must contain the following parameter: 'client_assertion_type', "
            f"with the value {ASSERTION_TYPE}.",
        )
    assertion = asked.assertion or ""
    if len(assertion) > LARGEST_TOKEN:
        raise _refusal(AssertionFault.MALFORMED, application)
    try:
        signed = authority.assertions.verify(assertion, application.certificates)
    except AssertionRefused as refused:
        raise _refusal(refused.fault, application) from None
    now = authority.clock.now()
    if not signed.certificate.not_before <= now < signed.certificate.not_after:
        raise TokenRefused(
            1000502,
            "invalid_client",
            "The provided certificate is not within its specified validity period.",
        )
    _check_parties(authority.realm, application, signed.claims, asked.address)
    ends = _check_times(signed.claims, now)
    await _spend(authority, application, signed.claims, audience=audience, until=ends)


def _refusal(fault: AssertionFault, application: ClientApplication) -> TokenRefused:
    match fault:
        case AssertionFault.MALFORMED:
            return TokenRefused(
                50027,
                "invalid_client",
                "The client assertion is not a valid signed token. It must be a JWT signed with "
                "RS256 or PS256.",
            )
        case AssertionFault.UNKNOWN_CERTIFICATE:
            return TokenRefused(
                700027,
                "invalid_client",
                "The certificate with the identifier used to sign the client assertion is not "
                f"registered on the application {application.client_id}. Name it by x5t, "
                "x5t#S256 or x5c.",
            )
        case AssertionFault.BAD_SIGNATURE:
            return TokenRefused(
                700027, "invalid_client", "Client assertion failed signature validation."
            )


def _check_parties(
    realm: Realm, application: ClientApplication, claims: Mapping[str, Any], address: Address
) -> None:
    """The application speaks of itself, to us."""
    if any(str(claims.get(name)).lower() != application.client_id for name in ("iss", "sub")):
        raise TokenRefused(
            700021,
            "invalid_client",
            "The client assertion's application identifier doesn't match the 'client_id' "
            "parameter: both 'iss' and 'sub' must be the client id.",
        )
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or not realm.is_assertion_audience(
        audience, port=address.port
    ):
        raise TokenRefused(
            700023,
            "invalid_client",
            "The client assertion's audience claim does not match. 'aud' must be "
            f"{address.authority}/oauth2/v2.0/token.",
        )


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    """Return when the assertion becomes worthless. Clients write times with fractions."""
    ends = moment(claims.get("exp"))
    begins = [moment(claims[name]) for name in ("iat", "nbf") if name in claims]
    if (
        ends is None
        or ends + CLOCK_SKEW <= now
        or ends > now + LONGEST_ASSERTION + CLOCK_SKEW
        or any(one is None or one > now + CLOCK_SKEW for one in begins)
    ):
        raise TokenRefused(
            700024,
            "invalid_client",
            "The client assertion is not within its valid time range. Check the clocks; 'exp' "
            f"may be at most {LONGEST_ASSERTION // timedelta(hours=1)} hours ahead.",
        )
    return ends + CLOCK_SKEW


async def _spend(
    authority: Authority,
    application: ClientApplication,
    claims: Mapping[str, Any],
    *,
    audience: str,
    until: datetime,
) -> None:
    """Refuse a second use of an assertion.

    MSAL sends one assertion, with one ``jti``, for nine minutes, to whichever resources it is asked
    for tokens to. So an assertion is good once for each resource.
    """
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI:
        raise TokenRefused(
            50027,
            "invalid_client",
            f"The client assertion needs a 'jti': a text of up to {_LONGEST_JTI} characters that "
            "is new each time.",
        )
    use = json.dumps([application.client_id, jti, audience])
    if not await authority.used.spend(hashlib.sha256(use.encode()).hexdigest(), until=until):
        raise TokenRefused(
            _USED_BEFORE,
            "invalid_client",
            "The client assertion was used before. Sign a new one, with a 'jti' of its own, for "
            "each request.",
        )


def _claims(
    authority: Authority,
    application: ClientApplication,
    address: Address,
    *,
    audience: str,
    proof: str,
) -> dict[str, Any]:
    """Return the claims of an application's own token, named as Entra names them."""
    now = int(authority.clock.now().timestamp())
    return {
        "aud": audience,
        "iss": address.issuer(authority.realm),
        "iat": now,
        "nbf": now,
        "exp": now + int(TOKEN_LIFETIME.total_seconds()),
        "app_displayname": application.name,
        "appid": application.client_id,
        "azp": application.client_id,
        "azpacr": proof,
        "idtyp": "app",
        "oid": application.object_id,
        "roles": [],
        "sub": application.object_id,
        "tid": authority.realm.tenant,
        "uti": new_id(),
        "ver": "2.0",
    }
