"""The grants of the token endpoint: their conditions, and the tokens that they return."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from livius.domain.accounts import (
    ClientApplication,
    Decision,
    Grant,
    GrantKind,
    User,
    verifies,
)
from livius.domain.audit import Action
from livius.domain.digests import hash_drawn
from livius.domain.ids import PrincipalId, new_id
from livius.domain.resources import DEFAULT
from livius.domain.tokens import CLOCK_SKEW, LARGEST_TOKEN, moment
from livius.usecases.audit_throttle import act
from livius.usecases.identity.authority import (
    Authority,
    TokenRefused,
    as_application,
    as_user,
    present_user,
)
from livius.usecases.identity.client_authentication import (
    AuthenticatedClient,
    ClientCredential,
    find_application,
    prove,
    prove_or_public,
    spend,
)
from livius.usecases.identity.scopes import Wanted, allowed_scopes, find, read_scope
from livius.usecases.identity.token_issuance import (
    Issue,
    IssuedToken,
    app_token,
    client_info,
    id_token,
    user_token,
)

REFRESH_LIFETIME: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens that a grant returned. The later fields are for users only."""

    access: IssuedToken
    scope: str | None = None
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    client_info: str | None = None


async def issue_for_client(
    authority: Authority, proof: ClientCredential, *, version: int, scope: str
) -> Tokens:
    """Return an access token for an application that acts for itself.

    Raises:
        TokenRefused: the request or the credential is wrong.
    """
    spelling, default, rest = scope.strip().partition(f"/{DEFAULT}")
    if not default or rest:
        raise TokenRefused(
            70011,
            "invalid_scope",
            "The provided value for scope is not valid. An application that acts for itself asks "
            "for one scope, <resource>/.default, for example "
            "https://api.fabric.microsoft.com/.default.",
        )
    resource, audience = await find(authority, spelling)
    proven = await prove(authority, proof)
    if resource.name != "pbi" and not allowed_scopes(proven.application, resource):
        raise TokenRefused(
            650057,
            "invalid_resource",
            f"The application {proven.application.client_id} gets tokens for {spelling} only where "
            f"it is allowed {resource.opened_by}. Allow it: livius identity app allow "
            f"{proven.application.client_id} {resource.opened_by}.",
        )
    await spend(authority, proven, use=audience)
    await authority.throttle.note(
        act(
            authority.clock,
            Action.TOKEN_ISSUE,
            resource.name,
            by=as_application(proven.application),
            detail="client_credentials",
        )
    )
    return Tokens(access=app_token(authority, _issue(proof, proven, version), audience=audience))


async def redeem_code(
    authority: Authority,
    proof: ClientCredential,
    *,
    version: int,
    code: str,
    redirect_uri: str,
    verifier: str | None,
    scope: str | None,
) -> Tokens:
    """Return tokens for an authorization code, once.

    A second use ends the tokens of the first: somebody else has the code (RFC 6749, 4.1.2). Raises:
    TokenRefused: the code, or the proof that the caller got it, is invalid.
    """
    proven = await prove_or_public(authority, proof)
    grant = await _grant(authority, proven.application, GrantKind.CODE, code)
    if grant.redirect_uri != redirect_uri:
        raise TokenRefused(
            500112,
            "invalid_grant",
            "The reply address does not match the reply address provided when requesting the "
            "authorization code. 'redirect_uri' must be the same in both requests.",
        )
    _check_verifier(grant, verifier, public=proven.by == "0")
    await spend(authority, proven, use=f"code {grant.key}")
    if grant.spent_at is not None or not await _spend(authority, grant):
        await authority.store.end_family(grant.family)
        raise TokenRefused(
            54005,
            "invalid_grant",
            "The authorization code was already redeemed. Sign in again; what was issued for it "
            "can't be renewed any more.",
        )
    issue = _issue(proof, proven, version)
    user, wanted = await _wanted_of(authority, issue, grant, scope or grant.scope)
    return await _redeem(authority, issue, grant, user, wanted)


async def refresh(
    authority: Authority,
    proof: ClientCredential,
    *,
    version: int,
    refresh_token: str,
    scope: str | None,
) -> Tokens:
    """Return tokens for a refresh token, and with them a new one.

    The old one stays valid until it expires, as Entra's does: programs share them. Raises:
    TokenRefused: it is invalid, or the user has not consented to the request.
    """
    proven = await prove_or_public(authority, proof)
    grant = await _grant(authority, proven.application, GrantKind.REFRESH, refresh_token)
    issue = _issue(proof, proven, version)
    user, wanted = await _wanted_of(authority, issue, grant, scope or grant.scope)
    await spend(authority, proven, use=f"refresh {grant.key} {wanted.audience}")
    # A renewed token stays renewable; MSAL requests that each time, others don't.
    return await _redeem(authority, issue, grant, user, wanted.with_openid("offline_access"))


async def poll_device(
    authority: Authority, proof: ClientCredential, *, version: int, device_code: str
) -> Tokens:
    """Return tokens for a device code, once the user has approved it.

    Raises:
        TokenRefused: not yet (``authorization_pending``), or not at all.
    """
    # A poll without a result doesn't use up the assertion: clients send it repeatedly.
    proven = await prove_or_public(authority, proof)
    grant = await _grant(authority, proven.application, GrantKind.DEVICE, device_code)
    match grant.decision:
        case Decision.PENDING:
            raise TokenRefused(
                70016,
                "authorization_pending",
                "OAuth 2.0 device flow: the user has not yet approved. Go on polling.",
            )
        case Decision.DENIED:
            raise TokenRefused(
                65004, "authorization_declined", "The user declined to consent to the application."
            )
        case Decision.APPROVED:
            await spend(authority, proven, use=f"device {grant.key}")
    if grant.spent_at is not None or not await _spend(authority, grant):
        raise _unknown(GrantKind.DEVICE)
    issue = _issue(proof, proven, version)
    user, wanted = await _wanted_of(authority, issue, grant, grant.scope)
    return await _redeem(authority, issue, grant, user, wanted)


async def on_behalf_of(
    authority: Authority, proof: ClientCredential, *, version: int, assertion: str, scope: str
) -> Tokens:
    """Return tokens with which an application acts for the user who called it.

    Raises:
        TokenRefused: the user's token is invalid or for another audience, or the user has not
            consented to the application's request.
    """
    proven = await prove(authority, proof)
    claims, user = await _caller_of(authority, proven.application, assertion)
    issue = _issue(proof, proven, version)
    wanted = await read_scope(authority, proven.application, scope)
    wanted = await _consented(authority, proven.application, user, wanted)
    # By the token's own id: the text of a signed token can be spelled in several ways.
    await spend(authority, proven, use=f"on behalf of {claims.get('uti')} {wanted.audience}")
    return await _tokens(authority, issue, user, wanted, "on_behalf_of", family=None, nonce="")


async def note_refused(
    authority: Authority, client_id: str, grant_type: str, refused: TokenRefused
) -> None:
    """Record that a caller that claims to be this application got no token."""
    try:
        named = (await find_application(authority, client_id)).name
    except TokenRefused:
        named = None  # anybody's text, then
    await authority.throttle.note(
        act(
            authority.clock,
            Action.TOKEN_ISSUE,
            None if named is None else f"{named} ({client_id.lower()})",
            result=refused.code,
            detail=grant_type,
        )
    )


async def consented(
    authority: Authority, application: ClientApplication, user: User, wanted: Wanted
) -> Wanted | None:
    """Return the requested scopes that the user has consented to; None if consent is missing.

    ``.default`` means all scopes with consent, however few. Scopes that are named must all have it.
    """
    if application.trusted:
        return wanted
    given = await authority.store.consent(user.oid, application.client_id, wanted.resource.name)
    scopes = wanted.scopes & given.scopes if given is not None else frozenset()
    if not scopes or (scopes != wanted.scopes and not wanted.by_default):
        return None
    return replace(wanted, scopes=scopes)


def _issue(proof: ClientCredential, proven: AuthenticatedClient, version: int) -> Issue:
    return Issue(
        address=proof.address, version=version, application=proven.application, proof=proven.by
    )


async def _grant(
    authority: Authority, application: ClientApplication, kind: GrantKind, secret: str
) -> Grant:
    """Return a grant that was issued to the application and has not expired."""
    grant = await authority.store.grant(hash_drawn(secret))
    if grant is None or grant.kind is not kind or grant.client_id != application.client_id:
        raise _unknown(kind)
    if authority.clock.now() >= grant.expires_at:
        raise _expired(kind)
    return grant


def _unknown(kind: GrantKind) -> TokenRefused:
    if kind is GrantKind.DEVICE:
        return TokenRefused(
            70018,
            "bad_verification_code",
            "The device code is not one that was given to this application, or it was used before. "
            "Ask for a new one.",
        )
    what = "authorization code" if kind is GrantKind.CODE else "refresh token"
    return TokenRefused(
        70000,
        "invalid_grant",
        f"The provided {what} is not one that was given to this application, or it was revoked. "
        "Sign in again.",
    )


def _expired(kind: GrantKind) -> TokenRefused:
    match kind:
        case GrantKind.CODE:
            return TokenRefused(
                70008, "invalid_grant", "The authorization code has expired. Sign in again."
            )
        case GrantKind.REFRESH:
            return TokenRefused(
                700082, "invalid_grant", "The refresh token has expired. Sign in again."
            )
        case GrantKind.DEVICE:
            return TokenRefused(
                70019, "expired_token", "The device code has expired. Ask for a new one."
            )


def _check_verifier(grant: Grant, verifier: str | None, *, public: bool) -> None:
    """Refuse a caller without the PKCE verifier (RFC 7636), and any downgrade."""
    if not grant.challenge and not verifier and not public:
        return
    if not grant.challenge or not verifier or not verifies(verifier, grant.challenge):
        raise TokenRefused(
            501481,
            "invalid_grant",
            "The 'code_verifier' does not match the 'code_challenge' supplied in the authorization "
            "request.",
        )


async def _spend(authority: Authority, grant: Grant) -> bool:
    return await authority.store.spend_grant(grant.key, at=authority.clock.now())


async def _wanted_of(
    authority: Authority, issue: Issue, grant: Grant, scope: str
) -> tuple[User, Wanted]:
    """Return the user of a grant, and the requested scopes with that user's consent."""
    user = await present_user(authority.store, grant.user) if grant.user is not None else None
    if user is None:
        raise _unknown(grant.kind)
    wanted = await read_scope(authority, issue.application, scope)
    return user, await _consented(authority, issue.application, user, wanted)


async def _redeem(
    authority: Authority, issue: Issue, grant: Grant, user: User, wanted: Wanted
) -> Tokens:
    return await _tokens(
        authority, issue, user, wanted, grant.kind, family=grant.family, nonce=grant.nonce
    )


async def _consented(
    authority: Authority, application: ClientApplication, user: User, wanted: Wanted
) -> Wanted:
    found = await consented(authority, application, user, wanted)
    if found is None:
        raise TokenRefused(
            65001,
            "invalid_grant",
            f"The user has not consented to use the application {application.name} "
            f"({application.client_id}) for what it asks. Send an interactive authorization "
            "request for this user and resource.",
            suberror="consent_required",
        )
    return found


async def _tokens(
    authority: Authority,
    issue: Issue,
    user: User,
    wanted: Wanted,
    how: str,
    *,
    family: str | None,
    nonce: str,
) -> Tokens:
    await authority.throttle.note(
        act(
            authority.clock,
            Action.TOKEN_ISSUE,
            wanted.resource.name,
            by=as_user(user, issue.application),
            detail=f"{how}: {' '.join(sorted(wanted.scopes))}",
        )
    )
    access = user_token(
        authority,
        issue,
        user,
        resource=wanted.resource,
        audience=wanted.audience,
        scopes=wanted.scopes,
    )
    # The portal has a portal session of its own: no token of its application outlives the hour.
    renewable = "offline_access" in wanted.openid and not issue.application.trusted
    named = "openid" in wanted.openid
    return Tokens(
        access=access,
        scope=wanted.granted,
        refresh_token=await _new_refresh(authority, issue, user, wanted, family)
        if renewable
        else None,
        id_token=id_token(authority, issue, user, nonce=nonce) if named else None,
        client_info=client_info(authority, user),
    )


async def _new_refresh(
    authority: Authority, issue: Issue, user: User, wanted: Wanted, family: str | None
) -> str:
    secret, now = secrets.token_urlsafe(48), authority.clock.now()
    grant = Grant(
        key=hash_drawn(secret),
        kind=GrantKind.REFRESH,
        family=family or new_id(),
        client_id=issue.application.client_id,
        user=user.oid,
        scope=wanted.request,
        created_at=now,
        expires_at=now + REFRESH_LIFETIME,
    )
    keep = authority.store.renew if family is not None else authority.store.add_grant
    if not await keep(grant):
        # Meanwhile the code was used again, or the user, application or consent was removed.
        raise _unknown(GrantKind.REFRESH)
    return secret


async def _caller_of(
    authority: Authority, application: ClientApplication, assertion: str
) -> tuple[Mapping[str, Any], User]:
    """Return the claims of an assertion, a user's token for the application, and the user."""
    claims = authority.signer.read(assertion) if len(assertion) <= LARGEST_TOKEN else None
    if claims is None or not authority.realm.is_issuer(str(claims.get("iss"))):
        raise TokenRefused(
            50013,
            "invalid_grant",
            "The assertion failed signature validation: it is not a token that this authority "
            "issued.",
        )
    if claims.get("aud") != application.client_id:
        raise TokenRefused(
            500131,
            "invalid_grant",
            "The assertion's audience does not match the application that presents it. The user's "
            f"token must be made out to {application.client_id}.",
        )
    now, begins, ends = authority.clock.now(), moment(claims.get("nbf")), moment(claims.get("exp"))
    if begins is None or ends is None or now >= ends or now < begins - CLOCK_SKEW:
        raise TokenRefused(
            500133, "invalid_grant", "The assertion is not within its valid time range."
        )
    oid = claims.get("oid")
    user = await present_user(authority.store, PrincipalId(oid)) if isinstance(oid, str) else None
    if user is None or not claims.get("scp"):
        raise TokenRefused(
            50000,
            "invalid_grant",
            "The assertion is not a user's access token. On-behalf-of is for users.",
        )
    return claims, user
