"""The gateway's own addresses, for the links in its responses."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from starlette.datastructures import URL
from starlette.requests import Request


def own_url(request: Request, **query: str) -> str | None:
    """Return a request's URL with other parameters, under one of our addresses, if there is one."""
    base = _own_address(request)
    if base is None:
        return None
    asked = request.scope["query_string"].decode("latin-1")
    url = URL(f"{base}{quote(request.scope['path'])}?{asked}")
    return str(url.include_query_params(**query))


def own_link(request: Request, path: str) -> str:
    """Return the URL of another path under one of our addresses; the bare path without one."""
    return f"{_own_address(request) or ''}{quote(path)}"


def _own_address(request: Request) -> str | None:
    """Return the address of the request if it is ours, else the one for links, which may be None.

    A foreign Host header never gets into a response, nor a name that means another machine to the
    client: it would send its token there.
    """
    addresses: Sequence[str] = request.app.state.addresses
    named = f"{request.scope['scheme']}://{request.headers.get('host', '').lower()}"
    return named if named in addresses else request.app.state.link_address
