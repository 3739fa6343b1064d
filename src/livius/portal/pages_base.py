"""The base of every page: the caller, the language, the frame, and the protection.

A page's handler takes a `PageRequest` and returns a response. Before it runs, `Portal` has checked
that

* the request came under one of the portal's own addresses (else it is redirected to the first of
  them);
* a user has signed in (else the browser is redirected to the sign-in, and back afterwards);
* a request that changes something comes from a form of this portal session: it has the portal
  session's token, and the browser does not report another site as its sender.

After it, every response has the headers that keep foreign scripts and frames out.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import structlog
from jinja2 import Environment
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from livius.domain.accounts import ClientCertificate
from livius.domain.errors import (
    Conflict,
    Exhausted,
    Forbidden,
    Invalid,
    LiviusError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from livius.domain.messages import Message
from livius.domain.portal_session import LONGEST, PortalSession, form_token
from livius.domain.principal import Principal
from livius.event_streams import EventStreams
from livius.language import LANGUAGES, Language, language_of, said, templates, translations
from livius.limits import expect_code, expect_upload
from livius.portal import flash, labels
from livius.portal.assets import Assets
from livius.portal.events import PageVersion, ReadPageVersion, part_events
from livius.portal.surroundings import Surroundings, surroundings_of
from livius.ports.identity import TokenVerifier
from livius.ports.login_provider import LinkSignIn, LoginProvider
from livius.usecases.audit import note_refusal
from livius.usecases.audit_throttle import ORIGIN
from livius.usecases.context import Context
from livius.usecases.event_feed import Position
from livius.usecases.portal_sessions import PortalSessions

ROOT: Final = "/portal"
EXPIRED: Final = f"{ROOT}/expired"
THEME_COOKIE: Final = "livius_theme"
THEMES: Final = ("auto", "light", "dark")
STARTS_COOKIE: Final = "livius_starts"
"""Whether Home shows the ways to begin: "hidden" or not."""

_STATUS: Final[Mapping[type[LiviusError], int]] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Invalid: 400,
    Conflict: 409,
    Exhausted: 429,
    Unavailable: 503,
}
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; form-action {forms}; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = {
    # Browsers apply it to the redirect after a form, too: the sign-out continues at the authority.
    "Content-Security-Policy": _CSP.format(forms="'self'", styles=""),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "HX-Request, Accept-Language, Cookie",
}
_DIGITS: Final = 15
_MOST_OF_A_VISIT: Final = 12
_PIECE: Final = 1024 * 1024
_TEMPLATES: Final = Path(__file__).parent / "templates"
_NOWHERE: Final = Surroundings()

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnApplication:
    """The installation's sample application, without its secrets."""

    client_id: str
    private_key_file: str
    thumbprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The installation's facts for pages; none is secret.

    ``http`` and ``api`` are the addresses on this machine, ``portal`` is the one for people
    elsewhere. ``command`` runs `livius` in a shell. ``application`` is None with an external
    authority.
    """

    version: str
    api: str
    http: str
    authority: str
    tenant_id: str
    ca_file: str
    first_query: str
    command: str = "livius"
    portal: str | None = None
    application: OwnApplication | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the navigation: a page names its own entry by ``key``.

    The keys G and ``go`` lead there.
    """

    key: str
    path: str
    icon: str
    label: str
    go: str = ""


@dataclass(frozen=True, slots=True)
class Crumb:
    """One step of the breadcrumbs; without a path it is the page itself."""

    label: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """A page's stream: its address, and the id of the last event that the page has."""

    path: str
    seen: PageVersion | Position


@dataclass(kw_only=True)
class PageRequest:
    """One request of a signed-in user."""

    portal: Portal
    http: Request
    portal_session: PortalSession
    form: FormData = field(default_factory=FormData)

    @property
    def context(self) -> Context:
        """Return the context of use cases."""
        return self.portal.context

    @property
    def caller(self) -> Principal:
        """Return the caller."""
        return self.portal_session.caller

    @cached_property
    def language(self) -> Language:
        """Return the chosen language, else the browser's preferred one."""
        return language_of(self.http)

    @property
    def is_fragment(self) -> bool:
        """Tell whether the request is for a part of an open page."""
        headers = self.http.headers
        return "hx-request" in headers and "hx-history-restore-request" not in headers

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return str(self.http.path_params[name])

    def asked(self, name: str, default: str = "") -> str:
        """Return a parameter of the query."""
        return self.http.query_params.get(name, default)

    def sent(self, name: str) -> str:
        """Return a field of the form; empty if it was left out or is a file."""
        value = self.form.get(name, "")
        return value if isinstance(value, str) else ""

    def sent_number(self, name: str) -> int | None:
        """Return a whole number in a field of the form; None if it is empty.

        Raises:
            Invalid: it is another text, or has too many digits.
        """
        text = self.sent(name).strip()
        if not text:
            return None
        if not _is_number(text):
            raise Invalid(
                "InvalidInput",
                Message("%(text)s is not a whole number, or is too large.", text=repr(text[:20])),
            )
        return int(text)

    def tr(self, text: str, **values: object) -> str:
        """Return a text in the caller's language."""
        found = translations(self.language).gettext(text)
        return found % values if values else found

    def ntr(self, one: str, many: str, num: int) -> str:
        """Return a text about a number in the caller's language."""
        return translations(self.language).ngettext(one, many, num) % {"num": num}

    def page(
        self,
        template: str,
        *,
        title: str,
        place: str = "",
        crumbs: Sequence[Crumb] = (),
        live: Live | None = None,
        status: int = 200,
        **values: Any,
    ) -> Response:
        """Return a page in the frame. ``title`` is in the caller's language already."""
        return self.portal.render(
            self.http,
            template,
            status=status,
            portal_session=self.portal_session,
            title=title,
            place=place,
            crumbs=crumbs,
            live=live,
            **values,
        )

    def fragment(self, template: str, **values: Any) -> Response:
        """Return a part of a page."""
        return self.portal.render(self.http, template, portal_session=self.portal_session, **values)

    def json(self, value: object) -> Response:
        """Return data for a page's script."""
        return Response(msgspec.json.encode(value), media_type="application/json", headers=_HEADERS)

    def text(self, template: str, **values: Any) -> str:
        """Return a template's text for an event."""
        return self.portal.text(self.language, template, **values)

    def go(self, path: str, done: str = "") -> Response:
        """Redirect the browser to another page, which says what was ``done``."""
        response: Response = RedirectResponse(path, status_code=303, headers=_HEADERS)
        if self.is_fragment:
            response = Response(status_code=204, headers={**_HEADERS, "HX-Redirect": path})
        if done:
            self.portal.tell_next(self.http, response, done)
        return response

    @property
    def seen(self) -> str:
        """Return the id of the last event that the page has; empty: it has none."""
        return self.http.headers.get("last-event-id") or self.asked("after")

    async def check(self) -> None:
        """Raise an error if the portal session has ended. Raises: Unauthenticated: it has."""
        if not await self.portal.portal_sessions.goes_on(self.portal_session):
            raise Unauthenticated("SignedOut", "The portal session has ended.")

    def stream(self, read: ReadPageVersion) -> Response:
        """Return a stream of the page's parts that change."""
        notifications = self.context.notifications
        return self.serve(part_events(notifications, self.check, read, seen=self.seen))

    def serve(self, events: AsyncIterator[bytes]) -> Response:
        """Return a stream of events."""
        owner = self.portal_session.key
        return self.portal.streams.serve("page", owner, events, most_of_one=_MOST_OF_A_VISIT)


Handler = Callable[[PageRequest], Awaitable[Response]]
PublicHandler = Callable[[Request], Awaitable[Response]]


class Portal:
    """Makes routes from handlers, and pages from templates.

    ``read_certificate`` takes PEM, and raises ValueError for a certificate that can't be
    registered.
    """

    def __init__(
        self,
        context: Context,
        facts: Facts,
        *,
        portal_sessions: PortalSessions,
        streams: EventStreams,
        people: LoginProvider,
        tokens: TokenVerifier,
        navigation: Sequence[Entry],
        read_certificate: Callable[[bytes], ClientCertificate],
        links: LinkSignIn | None = None,
    ) -> None:
        self.context = context
        self.links = links
        self.people = people
        self.read_certificate = read_certificate
        self.tokens = tokens
        self.facts = facts
        self.portal_sessions = portal_sessions
        self.streams = streams
        self.assets = Assets(ROOT)
        self.navigation = navigation
        # Cookies ignore ports, so two installations on one machine need different names.
        self.cookie = f"livius_portal_session_{facts.tenant_id[:8]}"
        self._flash = f"{self.cookie}_said"
        self._environments = {one: self._environment(one) for one in LANGUAGES}

    def _environment(self, language: Language) -> Environment:
        made = templates(_TEMPLATES, language)
        made.filters |= {"iso": _iso, "utc": _utc, "size": labels.size, "query": urlencode}
        made.globals |= {
            "root": ROOT,
            "asset": self.assets.url,
            "facts": self.facts,
            "languages": LANGUAGES,
            "duration": lambda seconds: labels.duration(seconds, translations(language)),
            "rows_of": lambda count: labels.rows(count, translations(language)),
            "files_of": lambda count: labels.files(count, translations(language)),
            "said": partial(said, language=language),
        }
        return made

    # Routes: their paths are below `ROOT`

    def get(self, path: str, handler: Handler, *, passive: bool = False) -> Route:
        """Return the route of a page. ``passive``: a request for it is no sign of a person."""
        what = f"GET {ROOT}{path}"
        return Route(ROOT + path, self._guarded(handler, what, touch=not passive), methods=["GET"])

    def post(self, path: str, handler: Handler, *, code: bool = False) -> Route:
        """Return the route of a form. ``code``: it is as large as code may be."""
        what = f"POST {ROOT}{path}"
        guarded = self._guarded(handler, what, touch=True, code=code)
        return Route(ROOT + path, guarded, methods=["POST"])

    def upload(self, path: str, handler: Handler) -> Route:
        """Return the route of a file that is the body itself. It is no form, and never buffered."""
        return Route(
            ROOT + path,
            self._guarded(handler, f"PUT {ROOT}{path}", touch=True),
            methods=["PUT"],
        )

    def public(
        self, path: str, handler: PublicHandler, *, method: Literal["GET", "POST"] = "GET"
    ) -> Route:
        """Return a route that needs no sign-in."""

        async def endpoint(request: Request) -> Response:
            elsewhere = self._elsewhere(request)
            if elsewhere is not None:
                return elsewhere
            try:
                return await handler(request)
            except LiviusError as error:
                return self.trouble(request, error)

        return Route(ROOT + path, endpoint, methods=[method])

    def _guarded(
        self, handler: Handler, what: str, *, touch: bool, code: bool = False
    ) -> PublicHandler:
        async def endpoint(request: Request) -> Response:
            elsewhere = self._elsewhere(request)
            if elsewhere is not None:
                return elsewhere
            portal_session = page = None
            try:
                portal_session = await self.portal_sessions.find(
                    request.cookies.get(self.cookie), touch=touch
                )
                if portal_session is None:
                    return self._to_sign_in(request)
                page = PageRequest(portal=self, http=request, portal_session=portal_session)
                ORIGIN.set(replace(ORIGIN.get(), caller=portal_session.caller))
                if request.method == "PUT":
                    _check_form(page)
                    expect_upload(request.scope)
                    return await handler(page)
                if request.method != "POST":
                    return await handler(page)
                if code:
                    expect_code(request.scope)
                async with request.form(max_files=1, max_fields=100) as page.form:
                    _check_form(page)
                    return await handler(page)
            except LiviusError as error:
                if portal_session is not None and isinstance(error, Forbidden):
                    workspace = request.path_params.get("workspace", "")
                    await note_refusal(self.context, what, error, portal_session.caller, workspace)
                around = _NOWHERE
                if page is not None:
                    where = request.path_params
                    around = await surroundings_of(self.context, page.caller, where, error, ROOT)
                return self.trouble(request, error, portal_session, around)

        return endpoint

    def _elsewhere(self, request: Request) -> Response | None:
        """Redirect requests under a foreign name, such as another site's that points here."""
        facts = self.facts
        if origin(request) in (facts.http, facts.api, facts.portal):
            return None
        by_tls = request.url.scheme == "https"
        target = (facts.portal if facts.portal and by_tls else facts.http) + request.url.path
        if request.url.query:
            target += f"?{request.url.query}"
        return RedirectResponse(target, status_code=307, headers=_HEADERS)

    def _to_sign_in(self, request: Request) -> Response:
        if "hx-request" in request.headers:
            # The requesting page belongs to a signed-out user: it has to be replaced as a whole.
            page = urlsplit(request.headers.get("hx-current-url", ""))
            here = local_path(page.path + (f"?{page.query}" if page.query else ""))
            target = f"{EXPIRED}?next={quote(here, safe='')}"
            return Response(status_code=401, headers={**_HEADERS, "HX-Redirect": target})
        if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
            return Response(
                "Sign in at the portal first.",
                status_code=401,
                media_type="text/plain",
                headers=_HEADERS,
            )
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(
            f"{ROOT}/sign-in?next={quote(here, safe='')}", status_code=303, headers=_HEADERS
        )

    # Pages

    def render(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        portal_session: PortalSession | None = None,
        headers: Mapping[str, str] | None = None,
        nonce: str = "",
        **values: Any,
    ) -> Response:
        """Return a template's text with the data of the frame.

        ``nonce`` admits style elements that have it: an editor makes its own.
        """
        language = language_of(request)
        theme = request.cookies.get(THEME_COOKIE, "auto")
        flash_text = "" if template.startswith("_") else self._flash_text(request)
        html = self.text(
            language,
            template,
            theme=theme if theme in THEMES else "auto",
            portal_session=portal_session,
            form_token=self.form_token(request) if portal_session else "",
            navigation=self.navigation,
            here=request.url.path,
            nonce=nonce,
            flash_text=flash_text,
            **{"title": "", "place": "", "crumbs": (), "live": None, **values},
        )
        response = HTMLResponse(
            html,
            status_code=status,
            headers={**_HEADERS, "Content-Security-Policy": self._policy(nonce), **(headers or {})},
        )
        if flash_text:
            response.delete_cookie(self._flash, path=ROOT)
        return response

    def tell_next(self, request: Request, response: Response, text: str) -> None:
        """Have the browser's next page say something."""
        response.set_cookie(
            self._flash,
            flash.write(request.cookies.get(self.cookie, ""), text),
            max_age=flash.SECONDS,
            path=ROOT,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )

    def _flash_text(self, request: Request) -> str:
        cookies = request.cookies
        return flash.read(cookies.get(self.cookie, ""), cookies.get(self._flash, ""))

    def text(self, language: Language, template: str, **values: Any) -> str:
        """Return a template's text."""
        return self._environments[language].get_template(template).render(values)

    def _policy(self, nonce: str) -> str:
        """Return the content security policy. The sign-out form continues at the authority."""
        there = urlsplit(self.people.sign_out_url(redirect_uri=self.facts.http) or "")
        beyond = f" {there.scheme}://{there.netloc}" if there.netloc else ""
        return _CSP.format(forms=f"'self'{beyond}", styles=f" 'nonce-{nonce}'" if nonce else "")

    def trouble(
        self,
        request: Request,
        error: LiviusError,
        portal_session: PortalSession | None = None,
        around: Surroundings = _NOWHERE,
    ) -> Response:
        """Return an error as a page, or as a note for the open page."""
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        return self.problem(
            request,
            status=status,
            code=error.code,
            message=error.message,
            portal_session=portal_session,
            around=around,
        )

    def problem(
        self,
        request: Request,
        *,
        status: int,
        message: str,
        code: str = "",
        portal_session: PortalSession | None = None,
        around: Surroundings = _NOWHERE,
    ) -> Response:
        """Return the text of an error."""
        language = language_of(request)
        message = said(message, language)
        if "hx-request" in request.headers:
            return self.render(
                request,
                "_note.html",
                status=status,
                portal_session=portal_session,
                headers={"X-Portal-Note": code or str(status)},
                message=message,
                code=code,
                admins=around.admins,
                owners=around.owners,
            )
        tr = translations(language).gettext
        return self.render(
            request,
            "problem.html",
            status=status,
            portal_session=portal_session,
            title=tr(around.title or labels.TROUBLE.get(status, labels.TROUBLE[500])),
            place=around.place,
            crumbs=[Crumb(tr(label), path) for label, path in around.crumbs],
            admins=around.admins,
            owners=around.owners,
            code=code,
            message=message,
            status_code=status,
        )

    # Cookies

    def form_token(self, request: Request) -> str:
        """Return the token that each form of this browser's portal session must send."""
        return form_token(request.cookies.get(self.cookie, ""))

    async def enter(self, request: Request, response: Response, caller: Principal) -> None:
        """Begin a portal session. The browser's earlier one ends, and is never reused."""
        before = await self.portal_sessions.find(request.cookies.get(self.cookie), touch=False)
        if before is not None:
            await self.portal_sessions.end(before)
        cookie = await self.portal_sessions.begin(caller)
        response.set_cookie(
            self.cookie,
            cookie,
            max_age=int(LONGEST.total_seconds()),
            path=ROOT,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )

    async def leave(self, portal_session: PortalSession, response: Response) -> None:
        """End a portal session."""
        await self.portal_sessions.end(portal_session)
        response.delete_cookie(self.cookie, path=ROOT)


def origin(request: Request) -> str:
    """Return scheme, host and port of the address that the browser used."""
    return f"{request.url.scheme}://{request.headers.get('host', '').lower()}"


def local_path(text: str, default: str = ROOT) -> str:
    """Return a path of the portal, or the default for a path that could lead elsewhere."""
    inside = text == ROOT or text.startswith((f"{ROOT}/", f"{ROOT}?"))
    plain = text.isprintable() and "\\" not in text and "//" not in text
    return text if inside and plain else default


def as_file(name: str) -> dict[str, str]:
    """Return the headers of untrusted content that may be saved but never shown."""
    return {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def text_file(read: Callable[[int, int], Awaitable[bytes]], name: str) -> Response:
    """Return text as a file, piece by piece. ``read`` takes offset and size, and ends with none."""

    async def pieces() -> AsyncIterator[bytes]:
        offset = 0
        while piece := await read(offset, _PIECE):
            yield piece
            offset += len(piece)

    return StreamingResponse(
        pieces(), media_type="text/plain; charset=utf-8", headers=as_file(name)
    )


def number(text: str, default: int) -> int:
    """Return a whole number in an address, or the default for another text."""
    return int(text) if _is_number(text) else default


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def _check_form(page: PageRequest) -> None:
    """Refuse a form of another portal session.

    Raises:
        Forbidden: it comes from another site, or lacks the portal session's token.
    """
    check_sender(page.http)
    token = page.http.headers.get("x-csrf") or page.sent("csrf")
    if not hmac.compare_digest(token.encode(), page.portal.form_token(page.http).encode()):
        raise _foreign_form(page.http)


def check_sender(request: Request) -> None:
    """Refuse a form if the browser names another site as its sender. Raises: Forbidden: it does."""
    sent_by = request.headers.get("sec-fetch-site", "same-origin")
    from_origin = request.headers.get("origin")
    if sent_by not in ("same-origin", "none") or (
        from_origin is not None and from_origin.lower() != origin(request)
    ):
        raise _foreign_form(request)


def _foreign_form(request: Request) -> Forbidden:
    sent_by = request.headers.get("sec-fetch-site")
    _log.warning("form_refused", path=request.url.path, sent_by=sent_by)
    return Forbidden(
        "FormExpired",
        Message(
            "This form does not belong to your sign-in, or is too old. Load the page again "
            "and repeat what you did."
        ),
    )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
