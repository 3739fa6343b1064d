"""``/`` redirects people to the portal and answers programs; health routes for machines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from livius.usecases import sessions
from livius.usecases.context import Context
from livius.usecases.queue import count_queued


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The response for programs; nothing in it is secret."""

    version: str
    api: str
    authority: str


def router(
    context: Context, facts: Facts, failing: Callable[[], Sequence[str]] = lambda: ()
) -> APIRouter:
    """Return the routes. ``failing`` names the services of the gateway that fail now."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        """Redirect people to the portal and answer programs with JSON."""
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/portal", status_code=303)
        return JSONResponse(
            {
                "name": "Livius",
                "version": facts.version,
                "api": f"{facts.api}/v1",
                "authority": facts.authority,
            }
        )

    @routes.get("/healthz", include_in_schema=False)
    async def alive() -> Response:
        """Answer as long as the process serves."""
        return JSONResponse({"status": "alive"})

    @routes.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        """Answer when the store does, with the pool's state and the services that fail."""
        # At the same time, so that it waits only once where the store is busy.
        live, queued, pool, of_environments = await asyncio.gather(
            sessions.count_live(context),
            count_queued(context),
            context.pool(),
            context.environment_drivers(),
        )
        return JSONResponse(
            {
                "status": "ready",
                "sessions": live,
                "queued": queued,
                "pool": asdict(pool),
                "environmentPool": asdict(of_environments),
                "failing": list(failing()),
            }
        )

    return routes
