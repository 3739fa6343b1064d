"""``/metrics`` for Prometheus.

On the loopback http listener alone, without a token: a scraper on this machine has none. It has
counts and times, and no name, id or address.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"


def router(render: Callable[[], Awaitable[bytes]]) -> APIRouter:
    """Return the route; ``render`` returns all metrics as text."""
    routes = APIRouter()

    @routes.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        if request.url.scheme != "http":
            raise HTTPException(404)
        return Response(await render(), media_type=_FORMAT)

    return routes
