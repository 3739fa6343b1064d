"""The embedded authority's paths when the authority is an external one."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from livius.api.errors import envelope

_TENANTS: Final = ("{tenant:uuid}", "common", "organizations", "consumers", "adfs", "dstsv2")


def elsewhere(issuer: str) -> APIRouter:
    """Return routes that send callers to the authority that issues the tokens."""
    routes = APIRouter(include_in_schema=False)

    async def refuse() -> Response:
        return envelope(
            404,
            "AuthorityElsewhere",
            f"This server issues no tokens: its operator has chosen the authority {issuer}. Sign "
            "in there.",
        )

    for tenant in _TENANTS:
        routes.add_api_route(f"/{tenant}/{{rest:path}}", refuse, methods=["GET", "POST"])
    return routes
