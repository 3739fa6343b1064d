"""A Livy session's Spark application: its logs, and Spark's own REST (Fabric contract 6.2, 6.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field, StringConstraints

from livius.api.auth import CurrentCaller
from livius.api.documented import DocumentedRoute, Json
from livius.api.errors import envelope
from livius.api.moments import to_milliseconds
from livius.api.schemas import ContainerLog, ContainerLogs, LogDocument
from livius.domain.activity import Activity
from livius.domain.errors import Invalid, NotFound
from livius.ports.logs import LogFile
from livius.usecases import monitoring
from livius.usecases.context import Context

_MIB: Final = 1024 * 1024
_LARGEST: Final = 16 * _MIB
_MAX_RESULTS: Final = 3000
_MAX_PARAMETERS: Final = 20
_ATTEMPT: Final = "1"
_NONE: Final = "none"
_LIVY_LOG: Final = "livy.log"
_TYPES: Final = ("driver", "rollingdriver", "executor", "livy")
_BYTES: Final = "application/octet-stream"
_ZIP: Final = "application/zip"

Id = Annotated[str, Path(max_length=100)]
_Kind = Annotated[str, StringConstraints(to_lower=True)]
Log: TypeAlias = (
    Json[LogDocument]
    | Json[ContainerLog]
    | Json[ContainerLogs]
    | Json[list[ContainerLogs]]
    | Response
)
Reader = Callable[[int, int], Awaitable[bytes]]


class _Where:
    """The session of the application, and the caller."""

    def __init__(self, caller: CurrentCaller, workspace: Id, lakehouse: Id, session: Id) -> None:
        self.caller = caller
        self.workspace = workspace
        self.lakehouse = lakehouse
        self.session = session


Here = Annotated[_Where, Depends()]


class _Asked(BaseModel):
    """The parameters of a request for logs."""

    kind: _Kind | None = Field(None, alias="type", max_length=40)
    meta: bool = False
    name: str | None = Field(None, alias="fileName", max_length=200)
    prefix: str = Field("", alias="filenamePrefix", max_length=200)
    container: str | None = Field(None, alias="containerId", max_length=200)
    download: bool = Field(default=False, alias="isDownload")
    partial: bool = Field(default=False, alias="isPartial")
    offset: int = Field(0, ge=0, le=2**62)
    size: int | None = Field(None, ge=0, le=_LARGEST)
    most: int = Field(_MAX_RESULTS, alias="maxResults", ge=1, le=_MAX_RESULTS)

    @property
    def is_whole(self) -> bool:
        """Tell whether the request is for everything from the offset on."""
        return self.download and not self.partial and self.size is None


Asked = Annotated[_Asked, Query()]


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(
        prefix="/v1/workspaces/{workspace}/lakehouses/{lakehouse}/livySessions/{session}",
        tags=["Fabric monitoring API"],
        route_class=DocumentedRoute,
    )

    async def own(here: _Where) -> Activity:
        return await monitoring.own_activity(
            context, here.caller, here.workspace, here.session, lakehouse=here.lakehouse
        )

    async def logs(
        here: Here,
        application: Id,
        asked: Asked,
    ) -> Log:
        """Return a log, or with ``meta`` its description.

        Without ``size`` it returns 1 MiB, and with ``isDownload`` everything. Without a ``type`` it
        returns Spark's event log in an archive, for a History Server of one's own.
        """
        activity = await own(here)
        if application != _NONE or asked.kind != "livy":
            monitoring.check_application(activity.session, application)
        return await _log(context, activity, asked)

    async def page(
        request: Request,
        here: Here,
        application: Id,
        path: Annotated[str, Path(max_length=500)],
    ) -> Response:
        """Return the response of Spark's own REST API; of an ended session from its event log."""
        if len(request.query_params.multi_items()) > _MAX_PARAMETERS:
            raise Invalid("InvalidInput", f"There are at most {_MAX_PARAMETERS} parameters.")
        first, _, rest = path.partition("/")
        if first.isdecimal():
            _check_attempt(first)
            path = rest
        if path.partition("/")[0] in ("resourceUsage", "advice"):
            return envelope(
                501, "FeatureNotAvailable", f"{path[:40]} is not available. Ask for executors."
            )
        found = await monitoring.spark_page(
            context, await own(here), application, path, request.query_params
        )
        return Response(found, media_type="application/json")

    async def root(request: Request, here: Here, application: Id) -> Response:
        """Return the application in Spark's own REST API."""
        return await page(request, here, application, "")

    async def logs_of_attempt(
        here: Here,
        application: Id,
        attempt: Id,
        asked: Asked,
    ) -> Log:
        """Return a log of an attempt; there is one attempt."""
        _check_attempt(attempt)
        return await logs(here, application, asked)

    text: dict[int | str, dict[str, Any]] = {200: {"content": {_BYTES: {}, _ZIP: {}}}}
    routes.add_api_route("/applications/{application}/logs", logs, responses=text)
    routes.add_api_route(
        "/applications/{application}/{attempt}/logs", logs_of_attempt, responses=text
    )
    routes.add_api_route("/applications/{application}", root)
    routes.add_api_route("/applications/{application}/{path:path}", page)
    return routes


def _check_attempt(attempt: str) -> None:
    if attempt != _ATTEMPT:
        raise NotFound("SparkCoreItemNotFound", "A session's application has one attempt: 1.")


async def _event_log(context: Context, activity: Activity) -> Response:
    name, archive = await monitoring.zipped_event_log(context, activity)

    async def pieces() -> AsyncIterator[bytes]:
        with archive:
            while piece := await asyncio.to_thread(archive.read, _MIB):
                yield piece

    return StreamingResponse(
        pieces(),
        media_type=_ZIP,
        headers={"Content-Disposition": f'attachment; filename="eventLogs-{name}.zip"'},
    )


async def _log(context: Context, activity: Activity, asked: _Asked) -> Log:
    match asked.kind:
        case "livy":
            return await _livy_log(context, activity, asked)
        case "driver":
            return await _driver_log(context, activity, asked)
        case "rollingdriver":
            files = await monitoring.driver_logs(context, activity)
            if not asked.meta:
                raise Invalid(
                    "InvalidInput",
                    "rollingdriver lists files, with meta=true; read one with type=driver.",
                    field="type",
                )
            kept = [file for file in files if file.name.startswith(asked.prefix)]
            page = kept[asked.offset : asked.offset + asked.most]
            found: ContainerLogs = {
                "containerId": "driver",
                "nodeId": "driver",
                "containerLogMeta": [_meta(one) for one in page],
            }
            return Json(found)
        case "executor":
            if asked.meta:
                none: list[ContainerLogs] = []
                return Json(none)
            raise NotFound(
                "SparkCoreItemNotFound",
                "The session has no executors of its own whose logs are kept here: see the "
                "driver's.",
            )
        case None:
            return await _event_log(context, activity)
        case _:
            raise Invalid("InvalidInput", f"type is one of {', '.join(_TYPES)}.", field="type")


async def _driver_log(
    context: Context, activity: Activity, asked: _Asked
) -> Json[ContainerLog] | Response:
    if not asked.name:
        raise Invalid("InvalidInput", "fileName is stdout or stderr.", field="fileName")
    name = asked.name
    files = await monitoring.driver_logs(context, activity)
    if asked.meta:
        file = next((file for file in files if file.name == name), None)
        if file is None:
            raise NotFound("SparkCoreItemNotFound", f"There is no log {name[:40]!r}.")
        return Json[ContainerLog](
            {"containerId": "driver", "nodeId": "driver", "containerLogMeta": _meta(file)}
        )

    async def read(offset: int, size: int) -> bytes:
        return await monitoring.read_driver_log(context, activity, name, offset=offset, size=size)

    return await _piece(read, asked, name)


async def _livy_log(
    context: Context, activity: Activity, asked: _Asked
) -> Json[LogDocument] | Response:
    session = activity.session
    text = await context.livy_logs.text(session)
    if asked.meta:
        changed = session.ended_at or session.last_active_at
        file = LogFile(
            name=_LIVY_LOG, size=len(text), created_at=session.created_at, changed_at=changed
        )
        return Json(_meta(file))

    async def read(offset: int, size: int) -> bytes:
        return text[offset : offset + size]

    return await _piece(read, asked, _LIVY_LOG)


async def _piece(read: Reader, asked: _Asked, name: str) -> Response:
    headers = {}
    if asked.download:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    if not asked.is_whole:
        piece = await read(asked.offset, _MIB if asked.size is None else asked.size)
        return Response(piece, media_type=_BYTES, headers=headers)
    # The first piece is read before the status is sent, so that a missing log is an error and not a
    # broken download.
    first = await read(asked.offset, _MIB)
    return StreamingResponse(_pieces(read, first, asked.offset), media_type=_BYTES, headers=headers)


async def _pieces(read: Reader, first: bytes, offset: int) -> AsyncIterator[bytes]:
    piece = first
    while piece:
        yield piece
        offset += len(piece)
        piece = await read(offset, _MIB)


def _meta(file: LogFile) -> LogDocument:
    return {
        "fileName": file.name,
        "length": file.size,
        "lastModified": to_milliseconds(file.changed_at),
        "creationTime": to_milliseconds(file.created_at),
        "metaData": {},
    }
