"""Language, appearance and what Home shows: cookies of the browser, no record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.language import CHOSEN, named
from livius.portal.pages_base import (
    STARTS_COOKIE,
    THEME_COOKIE,
    THEMES,
    PageRequest,
    Portal,
    local_path,
)

_YEAR: Final = 365 * 24 * 3600


def routes(portal: Portal) -> Sequence[Route]:
    """Return the route of the one form."""
    return [portal.post("/preferences", change)]


async def change(request: PageRequest) -> Response:
    """Store the choice in a cookie, and go back. An unknown value changes nothing."""
    response = request.go(local_path(request.sent("next")))
    chosen = {}
    if named(request.sent("language")) is not None:
        chosen[CHOSEN] = request.sent("language")
    if request.sent("theme") in THEMES:
        chosen[THEME_COOKIE] = request.sent("theme")
    if request.sent("starts") in ("shown", "hidden"):
        chosen[STARTS_COOKIE] = request.sent("starts")
    for name, value in chosen.items():
        response.set_cookie(
            name,
            value,
            max_age=_YEAR,
            path="/",  # the sign-in pages speak the same language
            httponly=True,
            samesite="lax",
            secure=request.http.url.scheme == "https",
        )
    return response
