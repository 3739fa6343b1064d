"""The one application that both listeners serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from livius.api import openapi, openapi_page
from livius.api.auth import Caller
from livius.api.errors import Refused, add_error_handlers
from livius.api.middleware import Edge, Observe
from livius.ports.identity import TokenVerifier


async def _nobody(_what: str, _error: object, _caller: object, _workspace: str) -> None:
    """Tell nobody."""


def create_app(
    verifier: TokenVerifier,
    routers: Iterable[APIRouter],
    *,
    version: str,
    observe: Observe = lambda _method, _route, _status, _seconds: None,
    refused: Refused = _nobody,
    mounts: Mapping[str, ASGIApp] | None = None,
    addresses: Sequence[str] = ("https://localhost",),
    link_address: str | None = "https://localhost",
) -> ASGIApp:
    """Put the routers behind one edge, and further applications beside them.

    ``verifier`` authenticates callers of all routes but the authority's, the health checks and the
    metrics. ``observe`` is called for each request, ``refused`` for each that its caller may not
    make. ``addresses`` are the gateway's own; ``link_address`` is the one in links for requests
    under no own address, or None.
    """
    app = FastAPI(
        title="Livius",
        description="The Microsoft Fabric Livy API, self-hosted.",
        version=version,
        # The framework's pages load scripts from other hosts; ours, at /docs, has none.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.caller = Caller(verifier)
    app.state.addresses = tuple(addresses)
    app.state.link_address = link_address
    for router in (*routers, openapi_page.router()):
        # Their routes themselves: an included router looks for a request's route twice.
        app.router.routes.extend(router.routes)
    openapi.complete(app)
    add_error_handlers(app, refused)
    return Edge(_Beside(app, mounts or {}), observe)


class _Beside:
    """Gives requests below a path to another application, with their whole paths.

    Not a mount: that would not match the path without a slash at its end.
    """

    def __init__(self, app: ASGIApp, mounts: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._mounts = mounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        for root, other in self._mounts.items():
            if path == root or path.startswith(f"{root}/"):
                await other(scope, receive, send)
                return
        await self._app(scope, receive, send)
