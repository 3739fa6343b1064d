"""Fabric's REST for a workspace's Spark settings and custom pools (Fabric contract 7.6)."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.fabric.catalog import WORKSPACES, Id, created
from livius.api.fabric.paging import Token, micros, page_of
from livius.api.fabric.requests import (
    ChangedPool,
    ChangedSparkSettings,
    NewPool,
    read_body,
)
from livius.api.schemas import SparkPoolDocument, SparkPoolPage, SparkSettingsDocument
from livius.domain.errors import Invalid
from livius.domain.permissions import MANAGE
from livius.domain.spark_pool import STARTER_POOL, STARTER_POOL_ID, NodeSize, SparkPool
from livius.domain.spark_settings import LONGEST_TIMEOUT, SparkConfiguration, SparkSettings
from livius.usecases import spark_settings
from livius.usecases.access import enter_workspace
from livius.usecases.context import Context

_MINUTE: Final = timedelta(minutes=1)


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(
        prefix=WORKSPACES + "/{workspace}/spark",
        tags=["Fabric Spark settings and pools"],
        route_class=DocumentedRoute,
    )
    _add_settings(routes, context)
    _add_pools(routes, context)
    _add_pool(routes, context)
    return routes


def _add_settings(routes: APIRouter, context: Context) -> None:
    @routes.get("/settings")
    async def get(caller: CurrentCaller, workspace: Id) -> Json[SparkSettingsDocument]:
        """Return a workspace's Spark settings."""
        found = await spark_settings.get_spark_configuration(context, caller, workspace)
        return Json(await _settings(context, found))

    @routes.patch("/settings")
    async def change(
        request: Request, caller: CurrentCaller, workspace: Id
    ) -> Json[SparkSettingsDocument]:
        """Change a workspace's Spark settings, for Admins; absent fields stay as they are.

        Idle timeout, runtime and default pool are those of sessions that begin afterwards.
        """
        await enter_workspace(context, caller, workspace, MANAGE)
        body = await read_body(request, ChangedSparkSettings)

        def changed(present: SparkConfiguration) -> SparkSettings:
            return _changed(body, present)

        found = await spark_settings.change_spark_settings(
            context,
            caller,
            workspace,
            changed,
            environment=None if body.environment is None else body.environment.name,
        )
        return Json(await _settings(context, found))


def _add_pools(routes: APIRouter, context: Context) -> None:
    @routes.get("/pools")
    async def list_pools(
        request: Request, caller: CurrentCaller, workspace: Id, token: Token = None
    ) -> Json[SparkPoolPage]:
        """List a workspace's pools; the first is the starter pool."""
        found = await spark_settings.get_spark_configuration(context, caller, workspace)
        page, following = page_of(
            request,
            [None, *found.pools],
            lambda one: (0, "") if one is None else (micros(one.created_at), one.id),
            token,
        )
        return Json({"value": [_pool(one, found.settings) for one in page], **following})

    @routes.post("/pools", status_code=201)
    async def create_pool(
        request: Request, caller: CurrentCaller, workspace: Id
    ) -> Json[SparkPoolDocument]:
        """Create a custom pool, for Admins."""
        await enter_workspace(context, caller, workspace, MANAGE)
        body = await read_body(request, NewPool)
        made = await spark_settings.create_pool(context, caller, workspace, body.shape())
        return created(request, made.id, _pool(made, SparkSettings()))


def _add_pool(routes: APIRouter, context: Context) -> None:
    @routes.get("/pools/{pool}")
    async def get_pool(caller: CurrentCaller, workspace: Id, pool: Id) -> Json[SparkPoolDocument]:
        """Return a pool."""
        found, one = await spark_settings.get_pool(context, caller, workspace, pool)
        return Json(_pool(one, found.settings))

    @routes.patch("/pools/{pool}")
    async def change_pool(
        request: Request, caller: CurrentCaller, workspace: Id, pool: Id
    ) -> Json[SparkPoolDocument]:
        """Change a custom pool, for Admins; absent fields stay as they are."""
        await enter_workspace(context, caller, workspace, MANAGE)
        body = await read_body(request, ChangedPool)
        changed = await spark_settings.change_pool(context, caller, workspace, pool, body.changes())
        return Json(_pool(changed, SparkSettings()))

    @routes.delete("/pools/{pool}")
    async def delete_pool(caller: CurrentCaller, workspace: Id, pool: Id) -> Response:
        """Delete a custom pool, for Admins; not the workspace's default one."""
        await spark_settings.delete_pool(context, caller, workspace, pool)
        return Response(status_code=200)


def _changed(body: ChangedSparkSettings, present: SparkConfiguration) -> SparkSettings:
    changes = body.changes()
    if body.pool is not None and body.pool.defaultPool is not None:
        meant = body.pool.defaultPool
        pool = present.pool_referred(meant.name, meant.id, field="pool.defaultPool")
        changes["default_pool"] = None if pool is None else pool.id
    if not changes and body.environment is None:
        raise Invalid("InvalidInput", "Send at least one setting to change.")
    return dataclasses.replace(present.settings, **changes)


async def _settings(context: Context, found: SparkConfiguration) -> SparkSettingsDocument:
    settings, pool, rules = found.settings, found.default_pool, context.rules
    environment = await spark_settings.default_environment(context, settings)
    minutes = math.ceil((settings.idle_timeout or rules.idle_timeout) / _MINUTE)
    return {
        "automaticLog": {"enabled": settings.automatic_log},
        "highConcurrency": {
            "notebookInteractiveRunEnabled": settings.shares_interactive,
            "notebookPipelineRunEnabled": settings.shares_pipelines,
        },
        "pool": {
            "customizeComputeEnabled": settings.customizes_compute,
            "defaultPool": {
                "name": STARTER_POOL if pool is None else pool.name,
                "type": "Workspace",
                "id": STARTER_POOL_ID if pool is None else pool.id,
            },
            "starterPool": {
                "maxNodeCount": settings.starter_max_nodes,
                "maxExecutors": settings.starter_max_executors,
            },
        },
        "environment": {
            "name": "" if environment is None else environment.name,
            "runtimeVersion": settings.runtime or rules.default_runtime,
        },
        "job": {
            "conservativeJobAdmissionEnabled": settings.admits_conservatively,
            "sessionTimeoutInMinutes": min(minutes, LONGEST_TIMEOUT),
        },
    }


def _pool(pool: SparkPool | None, settings: SparkSettings) -> SparkPoolDocument:
    """Return a pool; None is the starter pool, whose sizes the settings have."""
    if pool is None:
        return {
            "id": STARTER_POOL_ID,
            "name": STARTER_POOL,
            "type": "Workspace",
            "nodeFamily": "MemoryOptimized",
            "nodeSize": NodeSize.MEDIUM.value,
            "autoScale": {
                "enabled": True,
                "minNodeCount": 1,
                "maxNodeCount": settings.starter_max_nodes,
            },
            "dynamicExecutorAllocation": {
                "enabled": True,
                "minExecutors": 1,
                "maxExecutors": settings.starter_max_executors,
            },
        }
    return {
        "id": pool.id,
        "name": pool.name,
        "type": "Workspace",
        "nodeFamily": "MemoryOptimized",
        "nodeSize": pool.node_size.value,
        "autoScale": {
            "enabled": pool.scales,
            "minNodeCount": pool.min_nodes,
            "maxNodeCount": pool.max_nodes,
        },
        "dynamicExecutorAllocation": {
            "enabled": pool.allocates,
            "minExecutors": pool.min_executors,
            "maxExecutors": pool.max_executors,
        },
    }
