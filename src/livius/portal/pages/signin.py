"""Sign-in and sign-out at the authority that programs use too.

The state of an unfinished sign-in is in a cookie of the browser for ten minutes: the state, so that
no other site can complete it; the verifier, so that nobody else can redeem its code; the nonce, so
that the response of another sign-in is refused; and the page to open afterwards.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from livius.domain.audit import Action
from livius.domain.digests import challenge_of
from livius.domain.errors import Unauthenticated
from livius.domain.messages import Message
from livius.domain.portal_session import LONGEST
from livius.domain.principal import Principal
from livius.language import language_of, translations
from livius.portal.pages_base import EXPIRED, ROOT, PageRequest, Portal, local_path, origin
from livius.ports.login_provider import SignedIn
from livius.usecases.audit_throttle import act, present_actor

SIGNED_IN: Final = f"{ROOT}/signed-in"
SIGNED_OUT: Final = f"{ROOT}/signed-out"
_MINUTES: Final = 600
_LONGEST_COOKIE: Final = 4096

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnderWay:
    state: str
    verifier: str
    nonce: str
    following: str

    @property
    def challenge(self) -> str:
        return challenge_of(self.verifier)


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of sign-in and sign-out."""
    cookie, hint = f"{portal.cookie}_in", f"{portal.cookie}_id"

    async def sign_in(request: Request) -> Response:
        """Send the browser to the authority."""
        begun = _UnderWay(
            state=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            nonce=secrets.token_urlsafe(24),
            following=local_path(request.query_params.get("next", "")),
        )
        response = RedirectResponse(
            await portal.people.sign_in_url(
                redirect_uri=origin(request) + SIGNED_IN,
                state=begun.state,
                nonce=begun.nonce,
                challenge=begun.challenge,
            ),
            status_code=303,
            headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"},
        )
        response.set_cookie(
            cookie,
            base64.urlsafe_b64encode(json.dumps(asdict(begun)).encode()).decode(),
            max_age=_MINUTES,
            path=ROOT,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    async def signed_in(request: Request) -> Response:
        """Receive the browser after the sign-in, check its code, and begin a portal session."""
        asked = request.query_params
        begun = _read(request.cookies.get(cookie, ""))
        if begun is None or not hmac.compare_digest(
            begun.state.encode(), asked.get("state", "").encode()
        ):
            raise Unauthenticated(
                "SignInExpired",
                Message(
                    "This sign-in was not begun in this browser, or more than ten minutes ago. Sign"
                    " in again."
                ),
            )
        if "code" not in asked:
            _log.info("sign_in_refused", error=asked.get("error", "")[:100])
            raise Unauthenticated(
                "SignInFailed",
                Message(
                    "The authority did not sign you in. %(said)s",
                    said=asked.get("error_description", asked.get("error", ""))[:300],
                ),
            )
        found = await portal.people.redeem(
            code=asked["code"],
            redirect_uri=origin(request) + SIGNED_IN,
            verifier=begun.verifier,
            nonce=begun.nonce,
            issuer=asked.get("iss"),
        )
        caller = await _bearer(portal, found)
        response = RedirectResponse(
            begun.following, status_code=303, headers={"Cache-Control": "no-store"}
        )
        entry = act(portal.context.clock, Action.SIGN_IN, "portal", by=present_actor(caller))
        await portal.context.throttle.note(entry)
        await portal.enter(request, response, caller)
        response.delete_cookie(cookie, path=ROOT)
        if len(found.id_token) < _LONGEST_COOKIE - len(hint):
            # Only the sign-out gets it back, and spares the person a second question.
            response.set_cookie(
                hint,
                found.id_token,
                max_age=int(LONGEST.total_seconds()),
                path=f"{ROOT}/sign-out",
                httponly=True,
                samesite="lax",
                secure=request.url.scheme == "https",
            )
        _log.info("portal_session_begun", caller=caller.oid)
        return response

    async def expired(request: Request) -> Response:
        """Say why the page is gone; the sign-in leads back to it."""
        tr = translations(language_of(request)).gettext
        return portal.render(
            request,
            "expired.html",
            title=tr("Your sign-in has expired"),
            following=local_path(request.query_params.get("next", "")),
        )

    async def signed_out(request: Request) -> Response:
        tr = translations(language_of(request)).gettext
        return portal.render(request, "signed_out.html", title=tr("You are signed out"))

    async def sign_out(request: PageRequest) -> Response:
        """End the portal session here, then the sign-in at the authority."""
        there = portal.people.sign_out_url(
            redirect_uri=origin(request.http) + SIGNED_OUT,
            id_token=request.http.cookies.get(hint, ""),
        )
        response = request.go(there or SIGNED_OUT)
        response.delete_cookie(hint, path=f"{ROOT}/sign-out")
        await portal.leave(request.portal_session, response)
        _log.info("portal_session_ended", caller=request.caller.oid)
        return response

    return [
        portal.public("/sign-in", sign_in),
        portal.public("/signed-in", signed_in),
        portal.public("/signed-out", signed_out),
        portal.public(EXPIRED.removeprefix(ROOT), expired),
        portal.post("/sign-out", sign_out),
    ]


async def _bearer(portal: Portal, found: SignedIn) -> Principal:
    """Return the principal, as the API would see it."""
    try:
        caller = await portal.tokens.bearer_of(found.access_token)
    except Unauthenticated as error:
        raise Unauthenticated(
            "TokenOfNoUse",
            Message(
                "The authority signed you in, but its access token is not valid here. "
                "%(error)s The server's operator checks LIVIUS_AUTHORITY_SCOPE.",
                error=error.message,
            ),
        ) from error
    if caller.oid != found.oid:
        raise Unauthenticated(
            "SignInFailed", Message("The authority's two tokens name two people. Sign in again.")
        )
    return caller


def _read(cookie: str) -> _UnderWay | None:
    """Return the content of our cookie; None for an invalid one."""
    if not cookie or len(cookie) > _LONGEST_COOKIE:
        return None
    try:
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(cookie.encode("ascii")))
        begun = _UnderWay(**found)
    except (ValueError, TypeError):
        return None
    if not all(isinstance(value, str) for value in asdict(begun).values()):
        return None
    return begun if begun.following == local_path(begun.following) else None
