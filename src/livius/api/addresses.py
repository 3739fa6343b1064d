"""The addresses under which the gateway is known, for the links in its answers."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from starlette.datastructures import URL
from starlette.requests import Request


def own_url(request: Request, **query: str) -> str | None:
    """Return a request's URL with other parameters, under an address of ours.

    It is the address that the request came to if that is one of ours, else the one for links; None
    where there is none. A foreign Host header never gets into an answer, nor does a name that is
    another machine to the client: it would send its token where the link leads.
    """
    addresses: Sequence[str] = request.app.state.addresses
    named = f"{request.scope['scheme']}://{request.headers.get('host', '').lower()}"
    base = named if named in addresses else request.app.state.link_address
    if base is None:
        return None
    asked = request.scope["query_string"].decode("latin-1")
    url = URL(f"{base}{quote(request.scope['path'])}?{asked}")
    return str(url.include_query_params(**query))
