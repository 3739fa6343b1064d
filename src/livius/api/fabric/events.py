"""Server-Sent Events of a session and of a statement: routes of Livius's own.

The format is that of the HTML standard, section 9.2. An event's id is the position behind it, so a
client that connects again, as browsers do by themselves, continues where it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from livius.api.fabric.paths import BASE, STATEMENTS, Id, Target
from livius.api.fabric.requests import read_count
from livius.api.fabric.responses import jobs_body, session_body, statement_body
from livius.domain.errors import LiviusError, Unavailable
from livius.stream_limit import StreamLimit
from livius.usecases.context import Context
from livius.usecases.event_feed import (
    Ended,
    Event,
    Feed,
    Position,
    Printed,
    Progressed,
    Quiet,
    SessionChanged,
    StatementChanged,
    parse_position,
    repl_feed,
    statement_feed,
)
from livius.usecases.statement_reads import StatementView

_MOST: Final = 500
_MOST_OF_ONE: Final = 50
_RETRY_AFTER: Final = timedelta(seconds=10)
_STREAM: Final = "text/event-stream"
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The events.", "content": {_STREAM: {"schema": {"type": "string"}}}},
    204: {"description": "Nothing comes after the event that Last-Event-ID names."},
}
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(prefix=BASE, tags=["Fabric Livy API"])
    limit = StreamLimit(most=_MOST, most_of_one=_MOST_OF_ONE)

    for statements in STATEMENTS:
        _add(routes, context, limit, statements)
    return routes


def _add(routes: APIRouter, context: Context, limit: StreamLimit, statements: str) -> None:
    repl = statements.removesuffix("/statements")

    @routes.get(repl + "/events", response_class=Response, responses=_RESPONSES)
    async def of_repl(place: Target, request: Request) -> Response:
        """Stream what happens in a session: its states, its statements' states, text and progress.

        ``from`` is the number of the first statement; by default the first one that hasn't ended.
        Of a session that is shared, each repl has a stream of its own. Fabric has no such endpoint.
        """
        here, path = place
        first = read_count(request, "from")
        feed = await repl_feed(context, here.caller, path, seen=_seen(request), first=first)
        return _answer(limit, here.caller.oid, feed, feed.of_repl())

    @routes.get(statements + "/{number}/events", response_class=Response, responses=_RESPONSES)
    async def of_statement(place: Target, number: Id, request: Request) -> Response:
        """Stream what happens in a statement: its states, text and progress, until it has ended.

        ``from`` is the first byte of its text that is wanted. Fabric has no such endpoint.
        """
        here, path = place
        offset = read_count(request, "from") or 0
        feed = await statement_feed(
            context, here.caller, path, number, seen=_seen(request), offset=offset
        )
        return _answer(limit, here.caller.oid, feed, feed.of_statement())


def _seen(request: Request) -> Position | None:
    given = request.headers.get("last-event-id")
    return parse_position(given) if given else None


def _answer(limit: StreamLimit, owner: str, feed: Feed, events: AsyncIterator[Event]) -> Response:
    if feed.position.is_end:
        return Response(status_code=204)  # which tells a browser to connect no more
    if not limit.has_room(owner):
        raise Unavailable(
            "TooManyStreams",
            f"There are at most {_MOST_OF_ONE} open streams of events for each caller and {_MOST} "
            "in all. Close one, or ask for the statement itself.",
            retry_after=_RETRY_AFTER,
        )
    return StreamingResponse(
        _lines(limit, owner, feed, events), media_type=_STREAM, headers=_HEADERS
    )


async def _lines(
    limit: StreamLimit, owner: str, feed: Feed, events: AsyncIterator[Event]
) -> AsyncIterator[bytes]:
    with limit.opened(owner), suppress(LiviusError):
        # If it is gone, or no longer for this caller, the next request says which.
        yield b"retry: 1000\n\n"
        async for event in events:
            yield _line(event, feed.position)


def _line(event: Event, position: Position) -> bytes:
    if isinstance(event, Quiet):
        return b": nothing new\n\n"
    name, data = _rendered(event)
    body = msgspec.json.encode(data)
    return f"event: {name}\nid: {position}\ndata: ".encode() + body + b"\n\n"


def _rendered(event: Event) -> tuple[str, Any]:
    match event:
        case SessionChanged(view):
            return "session", session_body(view)
        case StatementChanged(view):
            return "statement", _statement(view)
        case Printed(number, offset, text):
            return "output", {"statement": number, "offset": offset, "text": text}
        case Progressed(statement, jobs):
            progress = {"statement": statement.number, "progress": statement.progress}
            return "progress", {**progress, **jobs_body(jobs)}
        case Ended(number):
            return "end", {} if number is None else {"statement": number}
        case Quiet():
            raise AssertionError("a comment is no event")


def _statement(view: StatementView) -> dict[str, Any]:
    """Return a statement without its code, and without its text, which came in pieces."""
    body: dict[str, Any] = {
        **statement_body(replace(view, statement=replace(view.statement, code="")))
    }
    del body["code"]
    data = body.get("output", {}).get("data", {})
    data.pop("text/plain", None)
    ending = view.statement.ending
    if ending is not None and ending.data_elsewhere:
        body["output"]["isTooLarge"] = True
    return body
