"""Authentication of client applications: by a secret, or by a signed assertion."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from livius.domain.accounts import ClientApplication, ClientSecret
from livius.domain.digests import hash_drawn, is_drawn
from livius.domain.ids import ClientId
from livius.domain.passwords import is_password_hash, password_matches
from livius.domain.realm import Address, Realm
from livius.domain.tokens import CLOCK_SKEW, LARGEST_TOKEN, moment
from livius.ports.identity import AssertionFault, AssertionRefused
from livius.usecases.identity.authority import Authority, TokenRefused

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_ASSERTION: Final = timedelta(hours=24)

_LONGEST_JTI: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredential:
    """The claimed application and its credential. ``caller`` is the peer's address."""

    address: Address
    caller: str
    client_id: str
    secret: str | None = field(default=None, repr=False)
    assertion: str | None = field(default=None, repr=False)
    assertion_type: str | None = None

    @property
    def is_given(self) -> bool:
        """Tell whether there is a credential at all."""
        return self.secret is not None or self.assertion is not None


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """An application, and how it authenticated: Entra's ``azpacr``.

    It is "0" for a public client, "1" for a secret and "2" for a certificate.
    ``jti`` and ``until`` are an assertion's, for `spend`.
    """

    application: ClientApplication
    by: str
    jti: str = ""
    until: datetime | None = None


async def find_application(authority: Authority, client_id: str) -> ClientApplication:
    """Return the application that a request names.

    Raises:
        TokenRefused: there is none; Entra reveals this, too.
    """
    try:
        found = await authority.store.application(ClientId(str(UUID(client_id))))
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


async def prove(authority: Authority, proof: ClientCredential) -> AuthenticatedClient:
    """Return the application if its credential is valid.

    The caller marks it as used, with `spend`, once nothing else refuses the request: clients send
    one assertion repeatedly, and a refused request must not use it up.

    Raises:
        TokenRefused: it is invalid, or there were too many invalid ones.
    """
    application = await find_application(authority, proof.client_id)
    who, failures = (application.client_id, proof.caller), authority.guard.failures
    try:
        return await _check(authority, application, proof)
    except TokenRefused as refused:
        if refused.error == "invalid_client":
            failures.check(who, at=authority.clock.monotonic())
            failures.count(who, at=authority.clock.monotonic())
        raise


def _has_secret(application: ClientApplication, secret: str) -> bool:
    return any(is_drawn(secret, kept.hash) for kept in application.secrets)


async def prove_or_public(authority: Authority, proof: ClientCredential) -> AuthenticatedClient:
    """Return the application if its credential is valid, or if it is public and sent none.

    Raises:
        TokenRefused: neither is true.
    """
    if not proof.is_given:
        application = await find_application(authority, proof.client_id)
        if application.public:
            return AuthenticatedClient(application, "0")
        raise TokenRefused(
            7000218,
            "invalid_client",
            "The request body must contain the following parameter: 'client_assertion' or "
            f"'client_secret'. The application {application.client_id} is not a public client.",
        )
    return await prove(authority, proof)


async def _check(
    authority: Authority, application: ClientApplication, proof: ClientCredential
) -> AuthenticatedClient:
    # Nobody can guess a signature or a random secret, and both are checked quickly. So a correct
    # one is accepted even after failures of others; slow checks wait first.
    if proof.assertion is not None:
        return _check_assertion(authority, application, proof)
    if proof.secret is not None:
        if _has_secret(application, proof.secret):
            return AuthenticatedClient(application, "1")
        await _check_older_secrets(authority, application, proof)
        return AuthenticatedClient(application, "1")
    raise TokenRefused(
        7000216,
        "invalid_client",
        "'client_assertion' or 'client_secret' is required for the 'client_credentials' grant "
        "type.",
    )


async def _check_older_secrets(
    authority: Authority, application: ClientApplication, proof: ClientCredential
) -> None:
    """Check secrets with slow hashes, as older versions stored them.

    A correct one is hashed again.
    """
    who, secret = (application.client_id, proof.caller), proof.secret or ""
    authority.guard.failures.check(who, at=authority.clock.monotonic())
    older = [kept for kept in application.secrets if is_password_hash(kept.hash)]
    if older:
        async with authority.guard.checks.turn():
            # Once more: those in front of this one in the queue may have failed meanwhile.
            authority.guard.failures.check(who, at=authority.clock.monotonic())
            for kept in older:
                if await asyncio.to_thread(password_matches, secret, kept.hash):
                    await _hash_anew(authority, application, kept, secret)
                    return
    raise TokenRefused(
        7000215,
        "invalid_client",
        "Invalid client secret provided. Ensure that the secret sent in the request is the "
        f"client secret's value, not its id, for the application {application.client_id}.",
    )


async def _hash_anew(
    authority: Authority, application: ClientApplication, known: ClientSecret, secret: str
) -> None:
    quick = replace(known, hash=hash_drawn(secret))
    await authority.store.change_application(
        application.client_id,
        lambda now: replace(
            now, secrets=tuple(quick if one == known else one for one in now.secrets)
        ),
    )


def _check_assertion(
    authority: Authority, application: ClientApplication, proof: ClientCredential
) -> AuthenticatedClient:
    if proof.assertion_type != ASSERTION_TYPE:
        raise TokenRefused(
            900144,
            "invalid_request",
            "The request body must contain the following parameter: 'client_assertion_type', "
            f"with the value {ASSERTION_TYPE}.",
        )
    assertion = proof.assertion or ""
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
    _check_parties(authority.realm, application, signed.claims, proof.address)
    until = _check_times(signed.claims, now)
    return AuthenticatedClient(application, "2", jti=_jti(signed.claims), until=until)


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
    """The application makes a claim about itself, for this authority."""
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
    """Return when the assertion expires. Clients write times with fractions."""
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


def _jti(claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI:
        raise TokenRefused(
            50027,
            "invalid_client",
            f"The client assertion needs a 'jti': a text of up to {_LONGEST_JTI} characters that "
            "is new each time.",
        )
    return jti


async def spend(authority: Authority, proven: AuthenticatedClient, *, use: str) -> None:
    """Refuse a second use of an assertion.

    Other credentials can be used any number of times. MSAL sends one assertion, with one ``jti``,
    for nine minutes, with all its requests. So an assertion is valid once for each use: a resource,
    or a redeemed code or token. Name and key of a use have no part that an assertion or a request
    can spell in two ways.

    Raises:
        TokenRefused: this use was made before.
    """
    if proven.until is None:
        return
    spent = json.dumps([proven.application.client_id, proven.jti, use])
    key = hashlib.sha256(spent.encode()).hexdigest()
    if not await authority.used.spend(key, until=proven.until):
        raise TokenRefused(
            50013,
            "invalid_client",
            "The client assertion was used before. Sign a new one, with a 'jti' of its own, for "
            "each request.",
        )
