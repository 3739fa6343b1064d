"""Fabric's REST for loading files into a table: a long-running operation without a result."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute
from livius.api.fabric.catalog import WORKSPACES, Id
from livius.api.fabric.operations import accepted
from livius.api.fabric.requests import LoadTable, read_body
from livius.domain.permissions import CHANGE
from livius.usecases.access import enter
from livius.usecases.context import Context
from livius.usecases.table_loads import load_table


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(tags=["Fabric workspaces and lakehouses"], route_class=DocumentedRoute)
    path = WORKSPACES + "/{workspace}/lakehouses/{lakehouse}/tables/{table}/load"

    @routes.post(path, status_code=202, response_class=Response)
    async def load(
        request: Request, caller: CurrentCaller, workspace: Id, lakehouse: Id, table: Id
    ) -> Response:
        """Load CSV or Parquet files below Files into a table, in one commit.

        With schemas, the table is in dbo.
        """
        await enter(context, caller, workspace, lakehouse, CHANGE)
        body = await read_body(request, LoadTable)
        begun = await load_table(context, caller, workspace, lakehouse, body.load(table))
        return accepted(request, begun)

    return routes
