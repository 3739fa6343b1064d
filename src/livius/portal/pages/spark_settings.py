"""A workspace's Spark settings: the defaults of its sessions, and its pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.errors import Invalid
from livius.domain.messages import Message
from livius.domain.spark_pool import STARTER_POOL_ID, NodeSize, PoolShape
from livius.domain.spark_settings import SparkConfiguration, SparkSettings
from livius.portal.pages.workspaces import BASE, show
from livius.portal.pages_base import ROOT, PageRequest, Portal
from livius.usecases import environments, spark_settings

PAGE: Final = f"{BASE}/spark"


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of Spark settings."""
    return [
        portal.get(PAGE, settings),
        portal.post(PAGE, change),
        portal.post(f"{PAGE}/pools", create_pool),
        portal.post(f"{PAGE}/pools/delete", delete_pool),
    ]


async def settings(request: PageRequest) -> Response:
    """Show the settings and pools; to Admins the forms that change them."""
    context, caller, workspace = request.context, request.caller, request.path("workspace")
    found = await spark_settings.get_spark_configuration(context, caller, workspace)
    return await show(
        request,
        "workspace_spark.html",
        tab="spark",
        settings=found.settings,
        pools=found.pools,
        environments=[
            view.environment
            for view in await environments.list_environments(context, caller, workspace)
        ],
        runtimes=sorted(context.runtimes.names()),
        rules=context.rules,
        node_sizes=tuple(NodeSize),
        starter=STARTER_POOL_ID,
    )


async def change(request: PageRequest) -> Response:
    """Change the defaults of sessions that begin afterwards."""
    timeout = request.sent_number("timeout")

    def changed(present: SparkConfiguration) -> SparkSettings:
        pool = present.pool_of(request.sent("pool") or STARTER_POOL_ID)
        return replace(
            present.settings,
            runtime=request.sent("runtime") or None,
            session_timeout=timeout,
            default_pool=None if pool is None else pool.id,
            customizes_compute=request.sent("customizes") == "yes",
        )

    await spark_settings.change_spark_settings(
        request.context,
        request.caller,
        request.path("workspace"),
        changed,
        environment=request.sent("environment"),
    )
    return _back(request)


async def create_pool(request: PageRequest) -> Response:
    """Create a custom pool."""
    sizes = {one.value: one for one in NodeSize}
    size = sizes.get(request.sent("size"))
    if size is None:
        raise Invalid(
            "InvalidInput", Message("A node is one of %(sizes)s.", sizes=", ".join(sizes))
        )
    nodes = request.sent_number("nodes")
    if nodes is None:
        raise Invalid("InvalidInput", Message("Say how many nodes the pool may have."))
    await spark_settings.create_pool(
        request.context,
        request.caller,
        request.path("workspace"),
        PoolShape(
            name=request.sent("name").strip(),
            node_size=size,
            scales=True,
            min_nodes=1,
            max_nodes=nodes,
            allocates=True,
            min_executors=1,
            max_executors=nodes,
        ),
    )
    return _back(request)


async def delete_pool(request: PageRequest) -> Response:
    """Delete a custom pool."""
    await spark_settings.delete_pool(
        request.context, request.caller, request.path("workspace"), request.sent("pool")
    )
    return _back(request)


def _back(request: PageRequest) -> Response:
    return request.go(f"{ROOT}/workspaces/{request.path('workspace')}/spark", request.tr("Saved."))
