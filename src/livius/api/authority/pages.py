"""The pages for people: sign in, choose an account, consent, device code, sign out.

Every page is one response and works without scripts; the only script submits the form of
``form_post``. No request is stored between two pages: each form goes to the address it came from,
and the request in it is checked again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from livius.api.authority.replies import NO_STORE, retry_after, status_of
from livius.api.authority.requests import PATH, caller_of, check_page, read_form, scope_of
from livius.domain.accounts import ClientApplication, User, origin_of
from livius.domain.errors import Unavailable
from livius.domain.ids import ClientId
from livius.language import LANGUAGES, language_of, templates
from livius.usecases.identity.authority import Authority, TokenRefused
from livius.usecases.identity.scopes import Wanted
from livius.usecases.identity.sign_in import (
    AnsweredElsewhere,
    AskingDevice,
    Authorization,
    ReplyTo,
    asking_device,
    begin_sign_in,
    check_password,
    consent_is_due,
    decide_device,
    end_sign_in,
    make_code,
    read_authorization,
    remember_consent,
    signed_in,
)
from livius.usecases.identity.token_issuance import client_info

_FOLDER: Final = Path(__file__).parent / "templates"
_TEMPLATES: Final = {language: templates(_FOLDER, language) for language in LANGUAGES}
_SIGN_IN_COOKIE: Final = "livius_sign_in"
_BROWSER_COOKIE: Final = "livius_browser"
_MOST_FIELDS: Final = 64
_STATIC: Final = {"style.css": "text/css", "post.js": "text/javascript"}

_log = structlog.get_logger(__name__)


def add_pages(routes: APIRouter, authority: Authority) -> None:
    """Add the routes of the pages."""
    for version, endpoints in ((2, "/oauth2/v2.0"), (1, "/oauth2")):
        _serve(routes, authority, f"{PATH}{endpoints}/authorize", _authorize(version))
        _serve(routes, authority, f"{PATH}{endpoints}/logout", _sign_out)
    _serve(routes, authority, "/device", _device)
    _serve(routes, authority, "/signout", _sign_out)

    async def static(name: str) -> Response:
        if name not in _STATIC:
            return Response(status_code=404)
        content = (_FOLDER / name).read_text(encoding="utf-8")
        return Response(content, media_type=_STATIC[name], headers={"Cache-Control": "no-cache"})

    routes.add_api_route("/authority/{name}", static, methods=["GET"])


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """One request of a browser: its user, and the cookies of its response."""

    request: Request
    authority: Authority
    browser: str
    sign_in: str
    user: User | None
    form: Mapping[str, str] | None = None
    form_goes_to: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def step(self) -> str:
        """Return the button that was pressed; empty if none was."""
        return self.form.get("step", "") if self.form is not None else ""

    @property
    def csrf(self) -> str:
        """Return the secret token of the forms of this browser and sign-in."""
        known = f"livius form {self.browser} {self.sign_in}"
        return hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()

    async def signs_in(self, application: ClientApplication) -> User:
        """Check the form's username and password, and begin a new sign-in.

        Raises:
            TokenRefused: they are wrong, or were wrong too often.
        """
        form = self.form or {}
        user = await check_password(
            self.authority,
            form.get("username", ""),
            form.get("password", ""),
            caller=caller_of(self.request),
            application=application,
        )
        await end_sign_in(self.authority, self.sign_in)
        begun = await begin_sign_in(self.authority, user, application)
        self.sign_in = self.cookies[_SIGN_IN_COOKIE] = begun
        self.user = user
        _log.info("signed_in", user=user.oid)
        return user

    async def signs_out(self) -> None:
        """End the sign-in."""
        await end_sign_in(self.authority, self.sign_in)
        self.sign_in = self.cookies[_SIGN_IN_COOKIE] = ""
        self.user = None

    def page(
        self, template: str, status: int = 200, *, scripts: bool = False, **values: Any
    ) -> Response:
        """Return a page."""
        language = language_of(self.request)
        text = (
            _TEMPLATES[language]
            .get_template(template)
            .render(csrf=self.csrf, user=self.user, tenant=self.authority.realm.tenant, **values)
        )
        policy = [
            "default-src 'none'",
            "style-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            # Browsers apply it to the redirect after a form, too.
            f"form-action 'self' {self.form_goes_to}".rstrip(),
            *(["script-src 'self'"] if scripts else []),
        ]
        headers = {
            **NO_STORE,
            "Content-Language": language.tag,
            "Content-Security-Policy": "; ".join(policy),
            "Referrer-Policy": "no-referrer" if scripts else "same-origin",
            "X-Frame-Options": "DENY",
        }
        return HTMLResponse(text, status_code=status, headers=headers)

    def refusal(self, refused: TokenRefused) -> Response:
        """Return an error page."""
        answer = self.page("refused.html", status_of(refused), refused=refused)
        answer.headers.update(retry_after(refused))
        return answer

    def finish(self, answer: Response) -> Response:
        """Set the cookies of a response."""
        secure = self.request.scope["scheme"] == "https"
        for name, value in self.cookies.items():
            if value:
                answer.set_cookie(name, value, httponly=True, samesite="lax", secure=secure)
            else:
                answer.delete_cookie(name, httponly=True, samesite="lax", secure=secure)
        return answer


Handler = Callable[[_Exchange], Awaitable[Response]]


def _serve(routes: APIRouter, authority: Authority, path: str, handler: Handler) -> None:
    async def endpoint(request: Request) -> Response:
        exchange = await _arrive(request, authority)
        try:
            check_page(request, authority.realm)
            if request.method == "POST":
                exchange.form = await read_form(request)
                _check_csrf(exchange)
            answer = await handler(exchange)
        except AnsweredElsewhere as answered:
            _log.info("sign_in_refused", path=request.scope["path"], code=answered.refused.code)
            answer = _reply_error(exchange, answered)
        except TokenRefused as refused:
            _log.info("sign_in_refused", path=request.scope["path"], code=refused.code)
            answer = exchange.refusal(refused)
        except Unavailable as unavailable:
            answer = exchange.refusal(TokenRefused(90033, "server_busy", unavailable.message))
        return exchange.finish(answer)

    routes.add_api_route(path, endpoint, methods=["GET", "POST"])


async def _arrive(request: Request, authority: Authority) -> _Exchange:
    browser = request.cookies.get(_BROWSER_COOKIE, "")
    sign_in = request.cookies.get(_SIGN_IN_COOKIE, "")
    exchange = _Exchange(
        request=request,
        authority=authority,
        browser=browser,
        sign_in=sign_in,
        user=await signed_in(authority, sign_in),
    )
    if not browser:
        exchange.browser = exchange.cookies[_BROWSER_COOKIE] = secrets.token_urlsafe(32)
    return exchange


def _check_csrf(exchange: _Exchange) -> None:
    """Refuse a form that doesn't belong to this browser."""
    headers, given = exchange.request.headers, (exchange.form or {}).get("csrf", "")
    origin = headers.get("origin")
    own = f"{exchange.request.scope['scheme']}://{headers.get('host', '')}"
    if (origin is not None and origin.lower() != own.lower()) or not hmac.compare_digest(
        given.encode(), exchange.csrf.encode()
    ):
        raise TokenRefused(
            399218,
            "invalid_request",
            "This form was not sent by the page that it belongs to, or the page was open for too "
            "long. Go back to the application and sign in again; cookies must be allowed.",
        )


def _authorize(version: int) -> Handler:
    async def authorize(exchange: _Exchange) -> Response:
        query = _query(exchange.request)
        scope = scope_of(query, version)
        asked = await read_authorization(
            exchange.authority, query if scope is None else {**query, "scope": scope}
        )
        exchange.form_goes_to = origin_of(asked.reply_to.redirect_uri)
        return await (
            _pressed(exchange, asked) if exchange.form is not None else _sent(exchange, asked)
        )

    return authorize


def _query(request: Request) -> dict[str, str]:
    """Return the parameters of an address, each given once."""
    try:
        text = request.scope["query_string"].decode("ascii")
        pairs = parse_qsl(text, max_num_fields=_MOST_FIELDS)
    except ValueError:
        pairs = []
    query = dict(pairs)
    if len(query) != len(pairs):
        raise TokenRefused(
            9002313, "invalid_request", "Invalid request. A parameter is given more than once."
        )
    return query


async def _sent(exchange: _Exchange, asked: Authorization) -> Response:
    """Respond to a person that an application has sent."""
    user = exchange.user
    if user is not None and asked.login_hint.lower() not in ("", user.username):
        user = None
    if asked.prompt == "none":
        return await _silently(exchange, asked, user)
    if user is None or asked.prompt == "login":
        return _ask_sign_in(exchange, asked.application, username=asked.login_hint)
    due = await consent_is_due(exchange.authority, asked, user)
    if asked.prompt == "select_account" or not (due or _is_assured(asked)):
        return exchange.page(
            "account.html", application=asked.application, goes_to=exchange.form_goes_to
        )
    return await _go_on(exchange, asked, user)


def _is_assured(asked: Authorization) -> bool:
    return asked.application.is_assured_at(asked.reply_to.redirect_uri)


async def _silently(exchange: _Exchange, asked: Authorization, user: User | None) -> Response:
    """Respond at once, or with the error."""
    if user is None:
        raise AnsweredElsewhere(
            asked.reply_to,
            TokenRefused(
                50058, "login_required", "A silent sign-in was asked for, but no user is signed in."
            ),
        )
    if await consent_is_due(exchange.authority, asked, user):
        raise AnsweredElsewhere(
            asked.reply_to,
            TokenRefused(
                65001, "consent_required", "The user has not consented to use the application."
            ),
        )
    if not _is_assured(asked):
        raise AnsweredElsewhere(
            asked.reply_to,
            TokenRefused(
                16000,
                "interaction_required",
                "The user has to confirm the account: the redirect URI's port is none that was "
                "registered. Register the whole URI, or ask without prompt=none.",
            ),
        )
    return await _hand_over(exchange, asked, user)


async def _pressed(exchange: _Exchange, asked: Authorization) -> Response:
    """Handle a form."""
    if exchange.step == "sign-in":
        try:
            user = await exchange.signs_in(asked.application)
        except TokenRefused as refused:
            return _ask_sign_in(exchange, asked.application, refused=refused)
        return await _go_on(exchange, asked, user)
    if exchange.step == "deny":
        raise AnsweredElsewhere(
            asked.reply_to,
            TokenRefused(
                65004, "access_denied", "The user declined to consent to access the application."
            ),
        )
    if exchange.user is None or exchange.step not in ("continue", "allow"):
        return _ask_sign_in(exchange, asked.application, username=asked.login_hint)
    if exchange.step == "allow":
        await remember_consent(exchange.authority, asked.application, exchange.user, asked.wanted)
        return await _hand_over(exchange, asked, exchange.user)
    return await _go_on(exchange, asked, exchange.user)


async def _go_on(exchange: _Exchange, asked: Authorization, user: User) -> Response:
    """Show the consent page if consent is missing, else return to the application."""
    if await consent_is_due(exchange.authority, asked, user):
        return _ask_consent(exchange, asked.application, asked.wanted)
    return await _hand_over(exchange, asked, user)


async def _hand_over(exchange: _Exchange, asked: Authorization, user: User) -> Response:
    answer = {"code": await make_code(exchange.authority, asked, user)}
    if asked.client_info:
        answer["client_info"] = client_info(exchange.authority, user)
    return _reply(exchange, asked.reply_to, answer)


def _reply_error(exchange: _Exchange, answered: AnsweredElsewhere) -> Response:
    refused = answered.refused
    exchange.form_goes_to = origin_of(answered.reply_to.redirect_uri)
    answer = {
        "error": refused.error,
        "error_description": f"{refused.code}: {refused.message}",
    }
    return _reply(exchange, answered.reply_to, answer)


def _reply(exchange: _Exchange, to: ReplyTo, answer: dict[str, str]) -> Response:
    """Redirect the person to the application."""
    if to.state:
        answer["state"] = to.state
    if to.mode == "form_post":
        return exchange.page("post.html", scripts=True, action=to.redirect_uri, fields=answer)
    parts, more = urlsplit(to.redirect_uri), urlencode(answer)
    if to.mode == "fragment":
        parts = parts._replace(fragment=more)
    else:
        parts = parts._replace(query=f"{parts.query}&{more}" if parts.query else more)
    return RedirectResponse(
        urlunsplit(parts), status_code=303, headers={**NO_STORE, "Referrer-Policy": "no-referrer"}
    )


def _ask_sign_in(
    exchange: _Exchange,
    application: ClientApplication,
    *,
    username: str = "",
    refused: TokenRefused | None = None,
    user_code: str | None = None,
) -> Response:
    typed = (exchange.form or {}).get("username", "") if refused is not None else username
    answer = exchange.page(
        "sign_in.html",
        200 if refused is None else status_of(refused),
        application=application,
        username=typed,
        refused=refused,
        user_code=user_code,
    )
    if refused is not None:
        answer.headers.update(retry_after(refused))
    return answer


def _ask_consent(
    exchange: _Exchange,
    application: ClientApplication,
    wanted: Wanted,
    *,
    user_code: str | None = None,
) -> Response:
    return exchange.page(
        "consent.html",
        application=application,
        permissions=wanted.permissions,
        openid=wanted.openid,
        user_code=user_code,
        goes_to=exchange.form_goes_to,
    )


async def _device(exchange: _Exchange) -> Response:
    """Connect a device or program that can't show a page."""
    if exchange.form is None:
        code = exchange.request.query_params.get("user_code", "")[:_MOST_FIELDS]
        return exchange.page("device.html", user_code=code, refused=None)
    user_code = exchange.form.get("user_code", "")
    try:
        asking = await asking_device(
            exchange.authority, user_code, caller=caller_of(exchange.request)
        )
    except TokenRefused as refused:
        answer = exchange.page(
            "device.html", status_of(refused), user_code=user_code, refused=refused
        )
        answer.headers.update(retry_after(refused))
        return answer
    return await _device_pressed(exchange, asking, user_code)


async def _device_pressed(exchange: _Exchange, asking: AskingDevice, user_code: str) -> Response:
    if exchange.step == "sign-in":
        try:
            await exchange.signs_in(asking.application)
        except TokenRefused as refused:
            return _ask_sign_in(exchange, asking.application, refused=refused, user_code=user_code)
    elif exchange.step in ("other", "") or exchange.user is None:
        return _ask_sign_in(exchange, asking.application, user_code=user_code)
    elif exchange.step in ("allow", "deny"):
        approved = exchange.step == "allow"
        await decide_device(exchange.authority, asking, exchange.user, approved=approved)
        return exchange.page("done.html", application=asking.application, approved=approved)
    # Also with earlier consent, so that the user notices a code that a stranger sent.
    return _ask_consent(exchange, asking.application, asking.wanted, user_code=user_code)


async def _sign_out(exchange: _Exchange) -> Response:
    """Ask first, then sign out: a link alone must not do it.

    An application of ours that has the user's ID token is trusted to have been asked.
    """
    if exchange.form is None and exchange.user is not None and not await _is_asked(exchange):
        back = await _way_back(exchange)
        exchange.form_goes_to = origin_of(back) if back else ""
        return exchange.page("sign_out.html")
    if exchange.user is not None:
        await exchange.signs_out()
    back = await _way_back(exchange)
    if back is not None:
        return RedirectResponse(back, status_code=303, headers=NO_STORE)
    return exchange.page("signed_out.html")


async def _is_asked(exchange: _Exchange) -> bool:
    """Tell whether the link has an ID token of the signed-in user, for an application of ours.

    It may have expired: people sign out after its hour, too.
    """
    hint = _query(exchange.request).get("id_token_hint", "")
    claims = exchange.authority.signer.read(hint) if hint else None
    if claims is None or exchange.user is None or claims.get("oid") != exchange.user.oid:
        return False
    application = await exchange.authority.store.application(ClientId(str(claims.get("aud", ""))))
    return application is not None and application.trusted


async def _way_back(exchange: _Exchange) -> str | None:
    """Return the address after a sign-out, if it is a redirect URI of the application."""
    query = _query(exchange.request)
    uri, client_id = query.get("post_logout_redirect_uri"), query.get("client_id")
    if client_id is None and "id_token_hint" in query:
        claims = exchange.authority.signer.read(query["id_token_hint"]) or {}
        client_id = str(claims.get("aud", ""))
    if uri is None or client_id is None:
        return None
    application = await exchange.authority.store.application(ClientId(client_id.lower()))
    return uri if application is not None and application.answers_at(uri) else None
