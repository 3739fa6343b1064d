"""Sign-in by a one-time link that the operator has made with `livius open` or `livius up`.

Opening the link's page changes nothing, as programs fetch links to preview them. The page posts
itself, and that uses the link.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from livius.domain.audit import Action
from livius.domain.errors import Forbidden
from livius.domain.messages import Message
from livius.language import language_of, translations
from livius.portal.pages_base import ROOT, Portal, check_sender
from livius.ports.login_provider import LinkSignIn
from livius.usecases.audit_throttle import act, present_actor

_log = structlog.get_logger(__name__)


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of a link and of its use."""

    async def show(request: Request) -> Response:
        _links(portal, request)
        tr = translations(language_of(request)).gettext
        secret = request.path_params["secret"]
        return portal.render(request, "link.html", title=tr("Sign in"), secret=secret)

    async def use(request: Request) -> Response:
        links = _links(portal, request)
        check_sender(request)
        async with request.form(max_files=0, max_fields=1) as form:
            secret = form.get("link")
        token = await links.redeem(secret if isinstance(secret, str) else "")
        caller = await portal.tokens.bearer_of(token)
        response = RedirectResponse(ROOT, status_code=303, headers={"Cache-Control": "no-store"})
        entry = act(
            portal.context.clock,
            Action.SIGN_IN,
            "portal",
            by=present_actor(caller),
            detail="by a one-time link",
        )
        await portal.context.throttle.note(entry)
        await portal.enter(request, response, caller)
        _log.info("portal_session_begun", caller=caller.oid)
        return response

    return [
        portal.public("/in/{secret}", show),
        portal.public("/in", use, method="POST"),
    ]


def _links(portal: Portal, request: Request) -> LinkSignIn:
    """Return the sign-in by links.

    Raises:
        Forbidden: there is none, or the request did not come over loopback http.
    """
    if portal.links is None:
        raise Forbidden(
            "NoLinks",
            Message("Another authority signs users in here, and it accepts no sign-in links."),
        )
    client = request.client
    if request.url.scheme != "http" or client is None or not ip_address(client.host).is_loopback:
        raise Forbidden(
            "LoopbackOnly",
            Message(
                "A sign-in link works on the gateway's own machine alone, at %(address)s.",
                address=portal.facts.http,
            ),
        )
    return portal.links
