"""The Fabric dialect: paths, status codes, bodies and words of Fabric's APIs."""

from __future__ import annotations

from fastapi import APIRouter

from livius.api.fabric import catalog, routes
from livius.usecases.context import Context


def router(context: Context) -> APIRouter:
    """Return all routes of the dialect over one core."""
    both = APIRouter()
    both.include_router(routes.router(context))
    both.include_router(catalog.router(context))
    return both


__all__ = ["router"]
