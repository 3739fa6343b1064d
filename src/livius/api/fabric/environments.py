"""Fabric's REST for environments (Fabric contract 7.5).

Where Fabric has two versions of a route, ``beta`` chooses; ``preview`` is its older name. Bodies
may have the shape of either.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.fabric.environment_documents import (
    beta_libraries_document,
    compute_document,
    environment_document,
    libraries_document,
    properties_document,
)
from livius.api.fabric.operations import accepted
from livius.api.fabric.paging import Token, micros, page_of
from livius.api.fabric.requests import (
    ChangedCompute,
    ChangedEnvironment,
    NewEnvironment,
    RemovedLibrary,
    read_body,
)
from livius.api.long_poll import asked_long_poll, unless_gone
from livius.api.schemas import (
    BetaLibraries,
    EnvironmentDocument,
    EnvironmentPage,
    EnvironmentProperties,
    LibraryPage,
    SparkComputeDocument,
)
from livius.domain.environment import MOST_REQUIREMENTS_BYTES
from livius.domain.errors import Invalid
from livius.domain.permissions import CHANGE_ENVIRONMENT
from livius.domain.requirements import as_environment_yml
from livius.limits import expect_library
from livius.usecases import environments, publishing
from livius.usecases.access import enter_workspace
from livius.usecases.context import Context
from livius.usecases.environments import EnvironmentPath, EnvironmentView, LibrariesView

_ONE: Final = "/{environment}"
_BYTES: Final = "application/octet-stream"
_BINARY: Final = {_BYTES: {"schema": {"type": "string", "format": "binary"}}}
_UPLOAD: Final[dict[str, Any]] = {"requestBody": {"required": True, "content": _BINARY}}
_LIST: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "An environment.yml.", "content": _BINARY}
}
_LOG: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The log.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
_BEGUN: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "With ``beta``: the state of the publish.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    202: {"description": "The headers name the operation."},
}

Id = Annotated[str, Path(max_length=100)]
FileName = Annotated[str, Path(max_length=300)]


def _path(workspace: Id, environment: Id) -> EnvironmentPath:
    return EnvironmentPath(workspace, environment)


def _by_age(view: EnvironmentView) -> tuple[str | int, ...]:
    return micros(view.environment.created_at), view.environment.id


def _beta(beta: bool = False, preview: bool = False) -> bool:  # noqa: FBT001, FBT002 - the wire's
    return beta or preview


Here = Annotated[EnvironmentPath, Depends(_path)]
IsBeta = Annotated[bool, Depends(_beta)]


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(
        prefix="/v1/workspaces/{workspace}/environments",
        tags=["Fabric environments"],
        route_class=DocumentedRoute,
    )
    _add_items(routes, context)
    _add_compute(routes, context)
    _add_lists_of_packages(routes, context)  # before those with a name of any file
    _add_libraries(routes, context)
    _add_publishing(routes, context)
    return routes


def _add_items(routes: APIRouter, context: Context) -> None:
    @routes.get("")
    async def list_all(
        request: Request, caller: CurrentCaller, workspace: Id, token: Token = None
    ) -> Json[EnvironmentPage]:
        """List a workspace's environments."""
        found = await environments.list_environments(context, caller, workspace)
        page, following = page_of(request, found, _by_age, token)
        return Json({"value": [environment_document(one) for one in page], **following})

    @routes.post("", status_code=201)
    async def create(
        request: Request, caller: CurrentCaller, workspace: Id
    ) -> Json[EnvironmentDocument]:
        """Create an environment with nothing staged."""
        await enter_workspace(context, caller, workspace, CHANGE_ENVIRONMENT)
        body = await read_body(request, NewEnvironment)
        made = await environments.create_environment(
            context, caller, workspace, body.displayName, body.description or ""
        )
        location = f"{request.url.path}/{made.environment.id}"
        return Json(environment_document(made), status_code=201, headers={"Location": location})

    @routes.get(_ONE)
    async def get(caller: CurrentCaller, here: Here) -> Json[EnvironmentDocument]:
        """Return an environment, with the state of its publish."""
        return Json(environment_document(await environments.get_environment(context, caller, here)))

    @routes.patch(_ONE)
    async def change(
        request: Request, caller: CurrentCaller, here: Here
    ) -> Json[EnvironmentDocument]:
        """Change an environment's display name or description."""
        await environments.enter_environment(context, caller, here, CHANGE_ENVIRONMENT)
        body = await read_body(request, ChangedEnvironment)
        changed = await environments.change_environment(
            context, caller, here, name=body.displayName, description=body.description
        )
        return Json(environment_document(changed))

    @routes.delete(_ONE, response_class=Response)
    async def delete(caller: CurrentCaller, here: Here) -> Response:
        """Delete an environment; sessions that have it keep it."""
        await environments.delete_environment(context, caller, here)
        return Response(status_code=200)


def _add_compute(routes: APIRouter, context: Context) -> None:
    @routes.get(_ONE + "/sparkcompute")
    async def published(
        caller: CurrentCaller, here: Here, beta: IsBeta
    ) -> Json[SparkComputeDocument]:
        """Return the Spark of the published version."""
        found = await publishing.published_compute(context, caller, here)
        return Json(compute_document(found, beta=beta))

    @routes.get(_ONE + "/staging/sparkcompute")
    async def staged(caller: CurrentCaller, here: Here, beta: IsBeta) -> Json[SparkComputeDocument]:
        """Return the Spark that is staged."""
        found = await environments.staged_compute(context, caller, here)
        return Json(compute_document(found, beta=beta))

    @routes.patch(_ONE + "/staging/sparkcompute")
    async def change(
        request: Request, caller: CurrentCaller, here: Here, beta: IsBeta
    ) -> Json[SparkComputeDocument]:
        """Change the Spark that is staged; a property that is null is deleted."""
        await environments.enter_environment(context, caller, here, CHANGE_ENVIRONMENT)
        body = await read_body(request, ChangedCompute)
        pool = body.instancePool
        changed = await environments.change_compute(
            context,
            caller,
            here,
            changes=body.changes,
            properties=body.properties,
            pool=None if pool is None else pool.chosen,
        )
        return Json(compute_document(changed, beta=beta))


def _add_libraries(routes: APIRouter, context: Context) -> None:
    staged = _ONE + "/staging/libraries"

    @routes.get(_ONE + "/libraries")
    async def published(
        caller: CurrentCaller, here: Here, beta: IsBeta
    ) -> Json[LibraryPage] | Json[BetaLibraries]:
        """Return the libraries of the published version."""
        found = await publishing.published_libraries(context, caller, here)
        return _libraries(found, beta=beta)

    @routes.get(staged)
    async def list_staged(
        caller: CurrentCaller, here: Here, beta: IsBeta
    ) -> Json[LibraryPage] | Json[BetaLibraries]:
        """Return the libraries that are staged."""
        found = await environments.staged_libraries(context, caller, here)
        return _libraries(found, beta=beta)

    @routes.post(staged + "/{library}", response_class=Response, openapi_extra=_UPLOAD)
    async def upload(
        request: Request, caller: CurrentCaller, here: Here, library: FileName
    ) -> Response:
        """Stage a custom library, whose content is the body."""
        environment = await environments.may_stage(context, caller, here, library)
        expect_library(request.scope)
        await environments.stage_file(context, environment, library, request.stream())
        return Response(status_code=200)

    @routes.delete(staged + "/{library}", response_class=Response)
    async def remove(caller: CurrentCaller, here: Here, library: FileName) -> Response:
        """Remove a custom library from what is staged."""
        await environments.unstage_file(context, caller, here, library)
        return Response(status_code=200)

    @routes.delete(staged, response_class=Response)
    async def remove_by_query(
        caller: CurrentCaller,
        here: Here,
        library: Annotated[str, Query(alias="libraryToDelete", max_length=300)],
    ) -> Response:
        """Remove a custom library, as the API's older version does."""
        await environments.unstage_file(context, caller, here, library)
        return Response(status_code=200)


def _libraries(found: LibrariesView, *, beta: bool) -> Json[LibraryPage] | Json[BetaLibraries]:
    return Json(beta_libraries_document(found)) if beta else Json(libraries_document(found))


def _add_lists_of_packages(routes: APIRouter, context: Context) -> None:
    staged = _ONE + "/staging/libraries"

    @routes.post(
        staged + "/importExternalLibraries", response_class=Response, openapi_extra=_UPLOAD
    )
    async def import_all(request: Request, caller: CurrentCaller, here: Here) -> Response:
        """Stage the packages of an environment.yml or a requirements.txt, in place of all."""
        await environments.enter_environment(context, caller, here, CHANGE_ENVIRONMENT)
        content = await request.body()
        if len(content) > MOST_REQUIREMENTS_BYTES:
            raise Invalid("InvalidLibraries", "The list of packages is larger than 256 KiB.")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Invalid("InvalidLibraries", "The list of packages is no UTF-8 text.") from None
        await environments.import_libraries(context, caller, here, text)
        return Response(status_code=200)

    @routes.get(staged + "/exportExternalLibraries", response_class=Response, responses=_LIST)
    async def export_staged(caller: CurrentCaller, here: Here) -> Response:
        """Return an environment.yml with the staged packages."""
        found = await environments.staged_libraries(context, caller, here)
        return Response(as_environment_yml(found.libraries), media_type=_BYTES)

    @routes.get(
        _ONE + "/libraries/exportExternalLibraries", response_class=Response, responses=_LIST
    )
    async def export_published(caller: CurrentCaller, here: Here) -> Response:
        """Return an environment.yml with the published packages."""
        found = await publishing.published_libraries(context, caller, here)
        return Response(as_environment_yml(found.libraries), media_type=_BYTES)

    @routes.post(staged + "/removeExternalLibrary", response_class=Response)
    async def remove_one(request: Request, caller: CurrentCaller, here: Here) -> Response:
        """Remove a package from what is staged."""
        await environments.enter_environment(context, caller, here, CHANGE_ENVIRONMENT)
        body = await read_body(request, RemovedLibrary)
        await environments.remove_library(context, caller, here, body.name, body.version)
        return Response(status_code=200)


def _add_publishing(routes: APIRouter, context: Context) -> None:
    @routes.post(
        _ONE + "/staging/publish", status_code=202, response_class=Response, responses=_BEGUN
    )
    async def publish(
        request: Request, caller: CurrentCaller, here: Here, beta: IsBeta
    ) -> Response:
        """Begin to publish what is staged: an operation, or with ``beta`` the state alone."""
        operation = await publishing.publish(context, caller, here)
        if beta:
            return Json(properties_document(await publishing.publish_of(context, operation.id)))
        return accepted(request, operation)

    @routes.post(_ONE + "/staging/cancelPublish")
    async def cancel(
        request: Request, caller: CurrentCaller, here: Here
    ) -> Json[EnvironmentProperties]:
        """Cancel the publish that runs."""
        wait = asked_long_poll(request, context.rules.long_poll)
        ended = await unless_gone(
            request, publishing.cancel_publish(context, caller, here, long_poll=wait)
        )
        return Json(properties_document(ended.publish))

    @routes.get(_ONE + "/staging/publish/log", response_class=Response, responses=_LOG)
    async def log(caller: CurrentCaller, here: Here) -> Response:
        """Return what the latest publish has printed so far, as text."""
        text = await publishing.publish_log(context, caller, here)
        return Response(text, media_type="text/plain; charset=utf-8")
