"""The one application that both listeners serve."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from livius.api.auth import Caller
from livius.api.errors import add_error_handlers
from livius.api.middleware import Edge, Observe
from livius.ports.identity import TokenVerifier


def create_app(
    verifier: TokenVerifier,
    routers: Iterable[APIRouter],
    *,
    version: str,
    observe: Observe = lambda _method, _route, _status, _seconds: None,
) -> ASGIApp:
    """Put the routers behind one edge.

    ``verifier`` proves callers; no route but the authority's, the health ones and the metrics goes
    without. ``observe`` is told of each request.
    """
    app = FastAPI(
        title="Livius",
        description="The Microsoft Fabric Livy API, self-hosted.",
        version=version,
        # The browsable pages load scripts from elsewhere; the document itself is served.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.caller = Caller(verifier)
    for router in routers:
        app.include_router(router)
    add_error_handlers(app)
    return Edge(app, observe)
