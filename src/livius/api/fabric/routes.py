"""The routes of the Fabric Livy API (Fabric contract 1.2): parse, one use case, render."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BeforeValidator

from livius.api.auth import bearer_token, current
from livius.api.documented import DocumentedRoute, Json
from livius.api.errors import envelope
from livius.api.fabric.large import statement_response, statements_response
from livius.api.fabric.requests import (
    SessionRequest,
    StatementRequest,
    read_body,
    read_body_if_any,
    read_count,
)
from livius.api.fabric.responses import (
    activities_body,
    jobs_body,
    session_body,
)
from livius.api.idempotency import idempotency_key
from livius.api.long_poll import asked_long_poll, note_wait, preferred_wait, unless_gone
from livius.api.schemas import (
    JobsDocument,
    MessageDocument,
    SessionDocument,
    SessionPage,
    StatementDocument,
    StatementPage,
)
from livius.domain.errors import Invalid
from livius.domain.ids import SessionId
from livius.domain.permissions import READ_SESSION
from livius.domain.principal import Principal
from livius.limits import expect_code
from livius.usecases import sessions, statement_reads, statements
from livius.usecases.access import SessionPath, own_session
from livius.usecases.context import Context
from livius.usecases.statement_reads import Window

BASE: Final = "/v1/workspaces/{workspace}/lakehouses/{lakehouse}/livyapi/versions/{version}"
_MAX_PAGE: Final = 1000
_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Id = Annotated[str, Path(max_length=100)]
Top = Annotated[int, Query(alias="$top", ge=0, le=_MAX_PAGE)]
Count = Annotated[bool, Query(alias="$count")]
Skip = Annotated[int, Query(alias="$skip", ge=0)]


@dataclass(frozen=True, slots=True)
class Where:
    """The ids at the beginning of every path of this API, and the caller."""

    caller: Principal
    workspace: str
    lakehouse: str

    def session(self, session: str) -> SessionPath:
        """Return the path of a session, as use cases take it."""
        return SessionPath(self.workspace, self.lakehouse, session)


async def _where(request: Request) -> Where:
    """Accept any version date: Fabric's own clients send different ones for the same API.

    It reads the path itself: for every request, that costs half of a declaration.
    """
    caller = await current(request)
    path = request.path_params
    if not _VERSION.fullmatch(path["version"]):
        raise Invalid("InvalidInput", "version is a date like 2023-12-01.", field="version")
    return Where(caller, path["workspace"], path["lakehouse"])


Here = Annotated[Where, Depends(_where)]


def _bring(context: Context, here: Where, request: Request, session: SessionId) -> None:
    """Offer the request's token for on-behalf-of exchange."""
    token = bearer_token(request)
    if token is not None:
        context.tokens.offer(session, here.caller, token)


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(prefix=BASE, tags=["Fabric Livy API"], route_class=DocumentedRoute)
    _add_statements(routes, context)  # first, because routes are tried in order
    _add_sessions(routes, context)
    _add_later(routes)
    return routes


def _add_sessions(routes: APIRouter, context: Context) -> None:
    @routes.post("/sessions", status_code=202)
    async def create(
        request: Request,
        here: Here,
    ) -> Json[SessionDocument]:
        """Create a session.

        The response is the session; poll it by its id, or send Prefer: wait.
        """
        await sessions.may_create(context, here.caller, here.workspace, here.lakehouse)
        wanted = (await read_body_if_any(request, SessionRequest)).command()
        key = await idempotency_key(context, request, here.caller)
        view = await sessions.create_session(
            context, here.caller, here.workspace, here.lakehouse, wanted, key
        )
        _bring(context, here, request, view.session.id)
        wait = preferred_wait(request)
        if wait:
            path = here.session(view.session.id)
            reading = sessions.get_session(context, here.caller, path, long_poll=wait)
            view = await unless_gone(request, reading)
        location = f"{request.url.path}/{view.session.id}"
        answer = Json(session_body(view), status_code=202, headers={"Location": location})
        return answer if wait is None else note_wait(answer, wait)

    @routes.get("/sessions")
    async def list_all(
        here: Here,
        top: Top = 100,
        skip: Skip = 0,
        count: Count = False,  # noqa: FBT002 - the wire's
    ) -> Json[SessionPage]:
        """List the lakehouse's sessions, newest first. The response always has their number."""
        del count
        page, total = await sessions.list_sessions(
            context, here.caller, here.workspace, here.lakehouse, skip=skip, top=top
        )
        return Json(activities_body(page, total=total))

    @routes.get("/sessions/{session}")
    async def get(here: Here, session: Id, request: Request) -> Json[SessionDocument]:
        """Return a session. While it starts, the response waits for a moment."""
        view = await unless_gone(
            request,
            sessions.get_session(
                context,
                here.caller,
                here.session(session),
                long_poll=asked_long_poll(request, context.rules.long_poll),
            ),
        )
        return Json(session_body(view))

    @routes.delete("/sessions/{session}")
    async def delete(
        here: Here,
        session: Id,
    ) -> Json[MessageDocument]:
        """Delete a session: end it, so that it is not found from now on."""
        await sessions.delete_session(context, here.caller, here.session(session))
        return Json({"msg": "deleted"})

    @routes.post("/sessions/{session}/reset-timeout", status_code=204)
    async def reset_timeout(
        here: Here,
        session: Id,
    ) -> Response:
        """Restart the session's idle time."""
        await sessions.reset_timeout(context, here.caller, here.session(session))
        return Response(status_code=204)


def _add_statements(routes: APIRouter, context: Context) -> None:
    base = "/sessions/{session}/statements"

    @routes.post(base, status_code=200)
    async def submit(request: Request) -> Json[StatementDocument] | StreamingResponse:
        """Submit a statement.

        It is recorded before the response; send Prefer: wait to get its end.
        """
        here = await _where(request)
        path = here.session(request.path_params["session"])
        session = await statements.may_submit(context, here.caller, path)
        expect_code(request.scope)
        body = await read_body(request, StatementRequest)
        view = await statements.submit(
            context,
            here.caller,
            session,
            code=body.code,
            kind=body.kind,
            source_id=body.sourceId,
            key=await idempotency_key(context, request, here.caller),
        )
        _bring(context, here, request, view.statement.session)
        wait = preferred_wait(request)
        if wait:
            number = str(view.statement.number)
            reading = statement_reads.get_statement(context, session, number, long_poll=wait)
            view = await unless_gone(request, reading)
        answer = statement_response(view)
        return answer if wait is None else note_wait(answer, wait)

    @routes.get(base)
    async def list_all(
        here: Here,
        session: Id,
        top: Annotated[int, Query(alias="size", ge=0, le=_MAX_PAGE)] = _MAX_PAGE,
        skip: Annotated[int, Query(alias="from", ge=0)] = 0,
        order: Annotated[Literal["asc", "desc"], BeforeValidator(str.lower)] = "asc",
    ) -> Json[StatementPage] | StreamingResponse:
        """List the session's statements in order, with the beginnings of their outputs."""
        found = await own_session(context, here.caller, here.session(session), READ_SESSION)
        page, total = await statement_reads.list_statements(
            context,
            found,
            skip=skip,
            top=top,
            newest_first=order == "desc",
        )
        return statements_response(page, total=total)

    @routes.get(base + "/{number}")
    async def get(request: Request) -> Json[StatementDocument] | StreamingResponse:
        """Return a statement; ``from`` and ``size`` cut its text by bytes.

        While it runs, the response waits for a moment, and is sent as soon as it ends. With
        ``from``, it is also sent as soon as there is text from that byte on: a client that repeats
        the request from the end of the text follows the text as it grows.
        """
        here = await _where(request)
        offset, size = read_count(request, "from"), read_count(request, "size")
        asked = offset is not None or size is not None
        window = Window(offset=offset or 0, size=size) if asked else None
        path = here.session(request.path_params["session"])
        session = await own_session(context, here.caller, path, READ_SESSION)
        view = await unless_gone(
            request,
            statement_reads.get_statement(
                context,
                session,
                request.path_params["number"],
                window,
                long_poll=asked_long_poll(request, context.rules.long_poll),
            ),
        )
        return statement_response(view)

    @routes.get(base + "/{number}/jobs")
    async def jobs(here: Here, session: Id, number: Id) -> Json[JobsDocument]:
        """Return the statement's Spark jobs and their stages, while it runs and afterwards.

        Fabric has no such endpoint.
        """
        found = await own_session(context, here.caller, here.session(session), READ_SESSION)
        return Json(jobs_body(await statement_reads.statement_jobs(context, found, number)))

    @routes.post(base + "/{number}/cancel")
    async def cancel(
        here: Here,
        session: Id,
        number: Id,
    ) -> Json[MessageDocument]:
        """Cancel a statement."""
        await statements.cancel_statement(context, here.caller, here.session(session), number)
        return Json({"msg": "canceled"})


def _add_later(routes: APIRouter) -> None:
    """Respond with a clear error for features that this version lacks."""

    @routes.api_route("/batches", methods=["GET", "POST"], include_in_schema=False)
    @routes.api_route("/batches/{rest:path}", methods=["GET", "DELETE"], include_in_schema=False)
    async def batches(here: Here) -> Response:
        del here
        return _not_yet("Batches", "Run the program's code as statements of a session.")

    @routes.api_route("/highConcurrencySessions", methods=["GET", "POST"], include_in_schema=False)
    @routes.api_route(
        "/highConcurrencySessions/{rest:path}",
        methods=["GET", "POST", "DELETE"],
        include_in_schema=False,
    )
    async def high_concurrency(here: Here) -> Response:
        del here
        return _not_yet("High-concurrency sessions", "Create a session of its own instead.")


def _not_yet(what: str, instead: str) -> Response:
    message = f"{what} are not available in this version of Livius. {instead}"
    return envelope(501, "FeatureNotAvailable", message)
