"""The routes of the Fabric Livy API (Fabric contract 1.2): parse, one use case, render."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BeforeValidator

from livius.api.documented import DocumentedRoute, Json
from livius.api.errors import envelope
from livius.api.fabric import high_concurrency
from livius.api.fabric.large import statement_response, statements_response
from livius.api.fabric.paths import (
    BASE,
    MAX_PAGE,
    STATEMENTS,
    Count,
    Here,
    Id,
    Skip,
    Target,
    Top,
    offer_token,
    target,
)
from livius.api.fabric.requests import (
    CompletionRequest,
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
    CandidatesDocument,
    JobsDocument,
    MessageDocument,
    SessionDocument,
    SessionPage,
    StatementDocument,
    StatementPage,
)
from livius.domain.errors import Invalid
from livius.domain.permissions import READ_SESSION
from livius.limits import expect_code
from livius.usecases import sessions, statement_reads, statements
from livius.usecases.access import own_repl
from livius.usecases.context import Context
from livius.usecases.statement_reads import Window


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(prefix=BASE, tags=["Fabric Livy API"], route_class=DocumentedRoute)
    # Statements first, because routes are tried in order.
    for base in STATEMENTS:
        _add_statements(routes, context, base)
    _add_sessions(routes, context)
    high_concurrency.add(routes, context)
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
        offer_token(context, here, request, view.session.id)
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


def _add_statements(routes: APIRouter, context: Context, base: str) -> None:
    @routes.post(base, status_code=200)
    async def submit(request: Request) -> Json[StatementDocument] | StreamingResponse:
        """Submit a statement.

        It is recorded before the response; send Prefer: wait to get its end.
        """
        here, path = await target(request)
        found = await statements.may_submit(context, here.caller, path)
        expect_code(request.scope)
        body = await read_body(request, StatementRequest)
        view = await statements.submit(
            context,
            here.caller,
            found,
            code=body.code,
            kind=body.kind,
            source_id=body.sourceId,
            key=await idempotency_key(context, request, here.caller),
        )
        offer_token(context, here, request, view.statement.session)
        wait = preferred_wait(request)
        if wait:
            number = str(view.statement.number)
            reading = statement_reads.get_statement(context, found[1], number, long_poll=wait)
            view = await unless_gone(request, reading)
        answer = statement_response(view)
        return answer if wait is None else note_wait(answer, wait)

    @routes.post(base.removesuffix("/statements") + "/completion")
    async def complete(request: Request) -> Json[CandidatesDocument]:
        """Return the names that may stand at the cursor, from the session's live Python objects.

        There are none while the session starts or runs code. No function or property of the
        user's code is called for them. Fabric has no such endpoint; it is classic Livy's.
        """
        here, path = await target(request)
        found = await statements.may_submit(context, here.caller, path)
        expect_code(request.scope)
        body = await read_body(request, CompletionRequest)
        cursor = len(body.code) if body.cursor is None else body.cursor
        if cursor < 0:
            raise Invalid("InvalidInput", "cursor is a number of characters.", field="cursor")
        names = await statements.complete(
            context, found, code=body.code, kind=body.kind, cursor=cursor
        )
        return Json({"candidates": list(names)})

    @routes.get(base)
    async def list_all(
        place: Target,
        top: Annotated[int, Query(alias="size", ge=0, le=MAX_PAGE)] = MAX_PAGE,
        skip: Annotated[int, Query(alias="from", ge=0)] = 0,
        order: Annotated[Literal["asc", "desc"], BeforeValidator(str.lower)] = "asc",
    ) -> Json[StatementPage] | StreamingResponse:
        """List the session's statements in order, with the beginnings of their outputs."""
        here, path = place
        _session, repl = await own_repl(context, here.caller, path, READ_SESSION)
        page, total = await statement_reads.list_statements(
            context,
            repl,
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
        here, path = await target(request)
        offset, size = read_count(request, "from"), read_count(request, "size")
        asked = offset is not None or size is not None
        window = Window(offset=offset or 0, size=size) if asked else None
        _session, repl = await own_repl(context, here.caller, path, READ_SESSION)
        view = await unless_gone(
            request,
            statement_reads.get_statement(
                context,
                repl,
                request.path_params["number"],
                window,
                long_poll=asked_long_poll(request, context.rules.long_poll),
            ),
        )
        return statement_response(view)

    @routes.get(base + "/{number}/jobs")
    async def jobs(place: Target, number: Id) -> Json[JobsDocument]:
        """Return the statement's Spark jobs and their stages, while it runs and afterwards.

        Fabric has no such endpoint.
        """
        here, path = place
        _session, repl = await own_repl(context, here.caller, path, READ_SESSION)
        return Json(jobs_body(await statement_reads.statement_jobs(context, repl, number)))

    @routes.post(base + "/{number}/cancel")
    async def cancel(place: Target, number: Id) -> Json[MessageDocument]:
        """Cancel a statement."""
        here, path = place
        await statements.cancel_statement(context, here.caller, path, number)
        return Json({"msg": "canceled"})


def _add_later(routes: APIRouter) -> None:
    """Respond with a clear error for features that this version lacks."""

    @routes.api_route("/batches", methods=["GET", "POST"], include_in_schema=False)
    @routes.api_route("/batches/{rest:path}", methods=["GET", "DELETE"], include_in_schema=False)
    async def batches(here: Here) -> Response:
        del here
        message = (
            "Batches are not available in this version of Livius. Run the program's code as "
            "statements of a session."
        )
        return envelope(501, "FeatureNotAvailable", message)
