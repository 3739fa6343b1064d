"""The Fabric dialect: paths, status codes, bodies and words of Fabric's APIs."""

from __future__ import annotations

from fastapi import APIRouter

from livius.api.fabric import applications, catalog, downloads, events, livy_sessions, roles, routes
from livius.usecases.context import Context


def router(context: Context) -> APIRouter:
    """Return all routes of the dialect over one core."""
    every = APIRouter()
    for module in (routes, downloads, events, livy_sessions, applications, catalog, roles):
        every.routes.extend(module.router(context).routes)
    return every


__all__ = ["router"]
