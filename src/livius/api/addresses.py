"""The addresses under which the gateway is known, for the links in its answers."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from starlette.datastructures import URL
from starlette.requests import Request


def own_url(request: Request, **query: str) -> str:
    """Return a request's URL with other parameters, under an address of ours.

    It is the address that the request came to if that is one of ours, else the first. A foreign
    Host header never gets into an answer: a client would send its token where the link leads.
    """
    addresses: Sequence[str] = request.app.state.addresses
    named = f"{request.scope['scheme']}://{request.headers.get('host', '').lower()}"
    base = named if named in addresses else addresses[0]
    asked = request.scope["query_string"].decode("latin-1")
    url = URL(f"{base}{quote(request.scope['path'])}?{asked}")
    return str(url.include_query_params(**query))
