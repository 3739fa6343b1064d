"""The Fabric dialect: paths, status codes, bodies and words of Fabric's APIs."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from livius.api.fabric import (
    applications,
    catalog,
    downloads,
    environments,
    events,
    items,
    livy_sessions,
    operations,
    roles,
    routes,
    spark,
    table_loads,
)
from livius.event_streams import EventStreams
from livius.usecases.context import Context

_MODULES: Final = (
    routes,
    downloads,
    livy_sessions,
    applications,
    catalog,
    items,
    roles,
    operations,
    environments,
    spark,
    table_loads,
)


def router(context: Context, streams: EventStreams) -> APIRouter:
    """Return all routes of the dialect over one core."""
    every = APIRouter()
    for module in _MODULES:
        every.routes.extend(module.router(context).routes)
    every.routes.extend(events.router(context, streams).routes)
    return every


__all__ = ["router"]
