"""``/`` for people and programs, ``/healthz`` and ``/readyz`` for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from livius.usecases.context import Context

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the front page tells: nothing in it is secret."""

    version: str
    api: str
    authority: str
    tenant_id: str
    client_id: str
    workspace_id: str
    lakehouse_id: str
    ca_file: str
    livius: str


def router(context: Context, facts: Facts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        """Answer people with a page and programs with JSON."""
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse(
                {
                    "name": "Livius",
                    "version": facts.version,
                    "api": f"{facts.api}/v1",
                    "authority": facts.authority,
                }
            )
        page = _TEMPLATES.get_template("home.html").render(asdict(facts))
        return HTMLResponse(page, headers=_HEADERS)

    @routes.get("/home.css", include_in_schema=False)
    async def style() -> Response:
        text = (Path(__file__).parent / "templates" / "home.css").read_text(encoding="utf-8")
        return Response(text, media_type="text/css")

    @routes.get("/healthz", include_in_schema=False)
    async def alive() -> Response:
        """Answer as long as the process serves."""
        return JSONResponse({"status": "alive"})

    @routes.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        """Answer when the store does."""
        await context.store.ping()
        sessions = len(await context.store.live_sessions())
        return JSONResponse({"status": "ready", "sessions": sessions})

    return routes
