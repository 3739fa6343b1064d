"""Sign-in and consent of people, and the codes that the application gets."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from livius.domain.accounts import (
    ClientApplication,
    Consent,
    Decision,
    Grant,
    GrantKind,
    SignIn,
    User,
    is_challenge,
    origin_of,
)
from livius.domain.audit import Action
from livius.domain.digests import hash_drawn
from livius.domain.ids import new_id
from livius.domain.passwords import hash_password, password_matches
from livius.usecases.audit_throttle import act
from livius.usecases.identity.authority import (
    Authority,
    TokenRefused,
    as_user,
    present_user,
    too_many,
)
from livius.usecases.identity.client_authentication import (
    ClientCredential,
    find_application,
    prove_or_public,
    spend,
)
from livius.usecases.identity.directory import full_username
from livius.usecases.identity.scopes import Wanted, read_scope
from livius.usecases.identity.token_endpoint import consented

CODE_LIFETIME: Final = timedelta(minutes=5)
DEVICE_LIFETIME: Final = timedelta(minutes=15)
_WAITING_OF_CALLER: Final = 50
_WAITING: Final = 1000
_TRIES: Final = 10
DEVICE_INTERVAL: Final = timedelta(seconds=5)
SIGN_IN_LIFETIME: Final = timedelta(hours=12)

_RESPONSE_MODES: Final = frozenset({"query", "fragment", "form_post"})
_PROMPTS: Final = frozenset({"", "login", "none", "consent", "select_account"})
_LONGEST_FIELD: Final = 2048
_USER_CODE_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ23456789"  # no vowels: no words; nothing alike
_USER_CODE_LENGTH: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTo:
    """The redirect URI and mode of an application's response."""

    redirect_uri: str
    mode: str
    state: str


class AnsweredElsewhere(Exception):
    """A refusal that the application gets at its redirect URI."""

    def __init__(self, reply_to: ReplyTo, refused: TokenRefused) -> None:
        super().__init__(refused.message)
        self.reply_to = reply_to
        self.refused = refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A valid authorization request."""

    application: ClientApplication
    reply_to: ReplyTo
    scope: str
    wanted: Wanted
    challenge: str
    nonce: str
    prompt: str
    login_hint: str
    client_info: bool


async def read_authorization(authority: Authority, asked: Mapping[str, str]) -> Authorization:
    """Return the authorization request of an application.

    Raises:
        TokenRefused: there is no such application, or the redirect URI isn't its own: only a page
            can say so. AnsweredElsewhere: the request has another fault.
    """
    application, redirect_uri = await _whence(authority, asked)
    mode = asked.get("response_mode", "query")
    reply_to = ReplyTo(
        redirect_uri=redirect_uri,
        mode=mode if mode in _RESPONSE_MODES else "query",
        state=asked.get("state", ""),
    )
    try:
        return await _authorization(authority, application, reply_to, asked)
    except TokenRefused as refused:
        raise AnsweredElsewhere(reply_to, refused) from None


async def _whence(authority: Authority, asked: Mapping[str, str]) -> tuple[ClientApplication, str]:
    """Return the application and its redirect URI. Faults of these are never sent by a redirect."""
    for name in ("client_id", "redirect_uri"):
        if name not in asked:
            raise TokenRefused(
                900144,
                "invalid_request",
                f"The request must contain the following parameter: '{name}'.",
            )
    application = await find_application(authority, asked["client_id"])
    redirect_uri = asked["redirect_uri"]
    if not application.answers_at(redirect_uri):
        remedy = (
            f"It answers at {', '.join(dict.fromkeys(map(origin_of, application.redirect_uris)))}."
            if application.trusted
            else f"Add it: livius identity app add-redirect {application.client_id} URI."
        )
        raise TokenRefused(
            50011,
            "invalid_request",
            f"The redirect URI {redirect_uri[:200]!r} specified in the request does not match the "
            f"redirect URIs configured for the application {application.client_id}. {remedy}",
        )
    return application, redirect_uri


async def _authorization(
    authority: Authority,
    application: ClientApplication,
    reply_to: ReplyTo,
    asked: Mapping[str, str],
) -> Authorization:
    if asked.get("response_mode", "query") not in _RESPONSE_MODES:
        raise TokenRefused(
            90023, "invalid_request", "response_mode must be query, fragment or form_post."
        )
    if asked.get("response_type") != "code":
        raise TokenRefused(
            700051,
            "unsupported_response_type",
            "The response_type must be 'code': this authority knows the authorization code flow.",
        )
    prompt = asked.get("prompt", "")
    if prompt not in _PROMPTS or any(
        len(asked.get(name, "")) > _LONGEST_FIELD for name in ("nonce", "state", "login_hint")
    ):
        raise TokenRefused(
            90023,
            "invalid_request",
            "The request is not valid: prompt must be login, none, consent or select_account, and "
            f"nonce, state and login_hint have up to {_LONGEST_FIELD} characters.",
        )
    scope = asked.get("scope", "")
    return Authorization(
        application=application,
        reply_to=reply_to,
        scope=scope,
        wanted=await read_scope(authority, application, scope),
        challenge=_challenge(application, asked),
        nonce=asked.get("nonce", ""),
        prompt=prompt,
        login_hint=asked.get("login_hint", ""),
        client_info=asked.get("client_info") == "1",
    )


def _challenge(application: ClientApplication, asked: Mapping[str, str]) -> str:
    challenge = asked.get("code_challenge", "")
    if not challenge:
        if application.public or "code_challenge_method" in asked:
            raise TokenRefused(
                9002325,
                "invalid_request",
                "Proof Key for Code Exchange is required: send a 'code_challenge' made by S256.",
            )
        return ""
    if asked.get("code_challenge_method") != "S256" or not is_challenge(challenge):
        raise TokenRefused(
            501491,
            "invalid_request",
            "The 'code_challenge' is not valid: 'code_challenge_method' must be S256, and the "
            "challenge 43 characters of base64url.",
        )
    return challenge


async def check_password(
    authority: Authority,
    username: str,
    password: str,
    *,
    caller: str,
    application: ClientApplication,
) -> User:
    """Return the user with a username and password.

    An unknown user takes as long as a known one.

    Raises:
        TokenRefused: one of the two is wrong, or there were too many failures.
    """
    username = full_username(username)[:_LONGEST_FIELD]
    known = await authority.store.user_named(username)
    try:
        return await _check_password(authority, username, known, password, caller=caller)
    except TokenRefused as refused:
        await authority.throttle.note(
            act(
                authority.clock,
                Action.SIGN_IN,
                # People type passwords into the wrong field, so a text that is no username is not
                # recorded.
                known.username if known else None,
                result=refused.code,
                detail=f"password, for {application.name}",
            )
        )
        raise


async def _check_password(
    authority: Authority, username: str, known: User | None, password: str, *, caller: str
) -> User:
    guard = authority.strangers if known is None else authority.guard
    who = (f"user {username}", caller)
    guard.failures.check(who, at=authority.clock.monotonic())
    async with guard.checks.turn():
        # Once more: those in front of this one in the queue may have failed meanwhile.
        guard.failures.check(who, at=authority.clock.monotonic())
        kept = known.password_hash if known is not None else await asyncio.to_thread(_nobodys)
        matches = await asyncio.to_thread(password_matches, password, kept)
    if known is None or not matches:
        guard.failures.count(who, at=authority.clock.monotonic())
        raise _wrong_password()
    if known.disabled_at is not None:
        raise TokenRefused(
            50057, "invalid_grant", "The user account is disabled. Ask the server's owners."
        )
    return known


def _wrong_password() -> TokenRefused:
    return TokenRefused(
        50126, "invalid_grant", "The username or the password is not right. Try again."
    )


@cache
def _nobodys() -> str:
    return hash_password(secrets.token_urlsafe(16))


async def begin_sign_in(authority: Authority, user: User, application: ClientApplication) -> str:
    """Return the cookie of a new sign-in.

    It is always new, against session fixation.

    Raises:
        TokenRefused: the user was removed or got another password since the check.
    """
    cookie, now = secrets.token_urlsafe(32), authority.clock.now()
    is_still_so = await authority.store.add_sign_in(
        SignIn(
            key=hash_drawn(cookie),
            user=user.oid,
            created_at=now,
            expires_at=now + SIGN_IN_LIFETIME,
        ),
        password_hash=user.password_hash,
        audit=act(
            authority.clock,
            Action.SIGN_IN,
            user.username,
            by=as_user(user, application),
            detail=f"password, for {application.name}",
        ),
    )
    if not is_still_so:
        raise _wrong_password()
    return cookie


async def signed_in(authority: Authority, cookie: str) -> User | None:
    """Return the user that a browser's cookie signed in."""
    found = await authority.store.sign_in(hash_drawn(cookie)) if cookie else None
    if found is None or authority.clock.now() >= found.expires_at:
        return None
    return await present_user(authority.store, found.user)


async def end_sign_in(authority: Authority, cookie: str) -> None:
    """Sign out."""
    await authority.store.remove_sign_in(hash_drawn(cookie))


async def consent_is_due(authority: Authority, asked: Authorization, user: User) -> bool:
    """Tell whether the user has to consent."""
    if asked.application.trusted:
        return False
    if asked.prompt == "consent":
        return True
    return await consented(authority, asked.application, user, asked.wanted) is None


async def remember_consent(
    authority: Authority, application: ClientApplication, user: User, wanted: Wanted
) -> None:
    """Record the user's consent to the application's request.

    Raises:
        TokenRefused: one of the two was removed meanwhile.
    """
    for resource, scopes in wanted.permissions:
        is_there = await authority.store.add_consent(
            Consent(
                user=user.oid,
                client_id=application.client_id,
                resource=resource.name,
                scopes=scopes,
                given_at=authority.clock.now(),
            ),
            audit=act(
                authority.clock,
                Action.CONSENT_GIVE,
                f"{application.name} ({application.client_id})",
                by=as_user(user, application),
                detail=f"{resource.name}: {' '.join(sorted(scopes))}",
            ),
        )
        if not is_there:
            raise _removed()


def _removed() -> TokenRefused:
    return TokenRefused(
        50034, "invalid_grant", "The user or the application was removed from the directory."
    )


async def make_code(authority: Authority, asked: Authorization, user: User) -> str:
    """Return a code that the application can redeem once, within minutes.

    Raises:
        TokenRefused: user or application were removed meanwhile.
    """
    code, now = secrets.token_urlsafe(48), authority.clock.now()
    is_there = await authority.store.add_grant(
        Grant(
            key=hash_drawn(code),
            kind=GrantKind.CODE,
            family=new_id(),
            client_id=asked.application.client_id,
            user=user.oid,
            scope=asked.scope,
            created_at=now,
            expires_at=now + CODE_LIFETIME,
            redirect_uri=asked.reply_to.redirect_uri,
            challenge=asked.challenge,
            nonce=asked.nonce,
        )
    )
    if not is_there:
        raise _removed()
    return code


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedDevice:
    """The codes of a device: its own, and the one for the user to type."""

    device_code: str
    user_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingDevice:
    """A device that waits for a user's decision."""

    grant: Grant
    application: ClientApplication
    wanted: Wanted


async def start_device(
    authority: Authority, proof: ClientCredential, *, scope: str
) -> StartedDevice:
    """Issue a device code.

    Anybody may request one, so only a few of a caller's may wait.

    Raises:
        TokenRefused: no such application, no scope that it may request, or too many wait; the last
            with the time until there is room.
    """
    proven = await prove_or_public(authority, proof)
    wanted = await read_scope(authority, proven.application, scope)
    now = authority.clock.now()
    await _check_room(authority, proof.caller, now)
    await spend(authority, proven, use=f"start device {wanted.audience}")
    for _ in range(_TRIES):
        device_code = secrets.token_urlsafe(48)
        user_code = "".join(secrets.choice(_USER_CODE_LETTERS) for _ in range(_USER_CODE_LENGTH))
        grant = Grant(
            key=hash_drawn(device_code),
            kind=GrantKind.DEVICE,
            family=new_id(),
            client_id=proven.application.client_id,
            user=None,
            scope=scope,
            created_at=now,
            expires_at=now + DEVICE_LIFETIME,
            user_code=user_code,
            decision=Decision.PENDING,
            caller=proof.caller,
        )
        if await authority.store.add_device(grant, of_caller=_WAITING_OF_CALLER, of_all=_WAITING):
            return StartedDevice(device_code=device_code, user_code=user_code)
        # The user code is taken, or others took the last free places meanwhile.
        await _check_room(authority, proof.caller, now)
    raise _removed()  # so many user codes are not taken by chance


async def _check_room(authority: Authority, caller: str, now: datetime) -> None:
    """Refuse a further device code if the most that may wait do.

    Raises:
        TokenRefused: with the time until there is room.
    """
    until = await authority.store.devices_full_until(
        caller, at=now, of_caller=_WAITING_OF_CALLER, of_all=_WAITING
    )
    if until is not None:
        what = "Too many device codes wait to be entered. Enter one, or let it end"
        raise too_many(what, wait=until - now)


async def asking_device(authority: Authority, user_code: str, *, caller: str) -> AskingDevice:
    """Return the device with a user code.

    Raises:
        TokenRefused: none, or there were too many wrong codes.
    """
    who = ("user code", caller)
    authority.guard.failures.check(who, at=authority.clock.monotonic())
    plain = "".join(user_code.upper().replace("-", " ").split())
    grant = await authority.store.waiting_device(plain)
    if grant is None or authority.clock.now() >= grant.expires_at:
        authority.guard.failures.count(who, at=authority.clock.monotonic())
        raise _unknown_user_code()
    application = await find_application(authority, grant.client_id)
    wanted = await read_scope(authority, application, grant.scope)
    return AskingDevice(grant=grant, application=application, wanted=wanted)


def _unknown_user_code() -> TokenRefused:
    return TokenRefused(
        70018,
        "bad_verification_code",
        "This code is not known, has expired, or was used before. Check it, or start again on "
        "your device for a new one.",
    )


async def decide_device(
    authority: Authority, asking: AskingDevice, user: User, *, approved: bool
) -> None:
    """Record the user's decision on a device.

    Raises:
        TokenRefused: it was decided already, or the user or application was removed.
    """
    if approved:
        await remember_consent(authority, asking.application, user, asking.wanted)
    decision = Decision.APPROVED if approved else Decision.DENIED
    if not await authority.store.decide_device(asking.grant.key, decision, user.oid):
        raise _unknown_user_code()
