"""Language and appearance: two cookies of the browser, no record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.language import CHOSEN, named
from livius.portal.desk import THEME_COOKIE, THEMES, Call, Desk, local_path

_YEAR: Final = 365 * 24 * 3600


def routes(desk: Desk) -> Sequence[Route]:
    """Return the route of the one form."""
    return [desk.post("/preferences", change)]


async def change(call: Call) -> Response:
    """Remember what was chosen, and go back. What is not on offer changes nothing."""
    response = call.go(local_path(call.sent("next")))
    chosen = {}
    if named(call.sent("language")) is not None:
        chosen[CHOSEN] = call.sent("language")
    if call.sent("theme") in THEMES:
        chosen[THEME_COOKIE] = call.sent("theme")
    for name, value in chosen.items():
        response.set_cookie(
            name,
            value,
            max_age=_YEAR,
            path="/",  # the sign-in pages speak the same language
            httponly=True,
            samesite="lax",
            secure=call.request.url.scheme == "https",
        )
    return response
