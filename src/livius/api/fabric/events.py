"""Server-Sent Events of a session and of a statement: routes of Livius's own.

An event's id is the position behind it, so a client that connects again, as browsers do by
themselves, continues where it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from livius.api.fabric.paths import BASE, STATEMENTS, Id, Target, Where
from livius.api.fabric.requests import read_count
from livius.api.fabric.responses import jobs_body, session_body, statement_body
from livius.domain.permissions import READ_SESSION
from livius.domain.principal import Principal
from livius.event_streams import COMMENT, MEDIA_TYPE, EventStreams, Kind, event
from livius.usecases.access import SessionPath, own_repl
from livius.usecases.context import Context
from livius.usecases.event_feed import (
    Ended,
    Enter,
    Event,
    Feed,
    Followed,
    Position,
    Printed,
    Progressed,
    Queued,
    Quiet,
    SessionChanged,
    StatementChanged,
    parse_position,
    repl_feed,
    statement_feed,
)
from livius.usecases.statement_reads import StatementView

_MOST_OF_ONE: Final = 50
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The events.", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": "Nothing comes after the event that Last-Event-ID names."},
}


def router(context: Context, streams: EventStreams) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(prefix=BASE, tags=["Fabric Livy API"])
    for statements in STATEMENTS:
        _add(routes, context, streams, statements)
    return routes


def _add(routes: APIRouter, context: Context, streams: EventStreams, statements: str) -> None:
    repl = statements.removesuffix("/statements")

    def enter(place: tuple[Where, SessionPath]) -> Enter:
        async def entered() -> Followed:
            return Followed(*await own_repl(context, place[0].caller, place[1], READ_SESSION))

        return entered

    @routes.get(repl + "/events", response_class=Response, responses=_RESPONSES)
    async def of_repl(place: Target, request: Request) -> Response:
        """Stream what happens in a session: its states, its statements' states, text and progress.

        ``from`` is the number of the first statement; by default the first one that hasn't ended.
        Of a session that is shared, each repl has a stream of its own. Fabric has no such endpoint.
        """
        first = read_count(request, "from")
        feed = await repl_feed(context, enter(place), seen=_seen(request), first=first)
        return _answer(streams, "session", place[0].caller, feed, feed.of_repl())

    @routes.get(statements + "/{number}/events", response_class=Response, responses=_RESPONSES)
    async def of_statement(place: Target, number: Id, request: Request) -> Response:
        """Stream what happens in a statement: its states, text and progress, until it has ended.

        ``from`` is the first byte of its text that is wanted. Fabric has no such endpoint.
        """
        offset = read_count(request, "from") or 0
        feed = await statement_feed(
            context, enter(place), number, seen=_seen(request), offset=offset
        )
        return _answer(streams, "statement", place[0].caller, feed, feed.of_statement())


def _seen(request: Request) -> Position | None:
    given = request.headers.get("last-event-id")
    return parse_position(given) if given else None


def _answer(
    streams: EventStreams, kind: Kind, caller: Principal, feed: Feed, events: AsyncIterator[Event]
) -> Response:
    if feed.position.is_end:
        return Response(status_code=204)  # which tells a browser to connect no more

    async def lines() -> AsyncIterator[bytes]:
        async for one in events:
            yield _line(one, feed.position)

    return streams.serve(kind, caller.oid, lines(), most_of_one=_MOST_OF_ONE)


def _line(one: Event, position: Position) -> bytes:
    if isinstance(one, Quiet):
        return COMMENT
    name, data = _rendered(one)
    return event(msgspec.json.encode(data), position=position, name=name)


def _rendered(one: Event) -> tuple[str, Any]:
    match one:
        case SessionChanged(view):
            return "session", session_body(view)
        case StatementChanged(view):
            return "statement", _statement(view)
        case Printed(number, offset, text):
            return "output", {"statement": number, "offset": offset, "text": text}
        case Progressed(statement, jobs):
            progress = {"statement": statement.number, "progress": statement.progress}
            return "progress", {**progress, **jobs_body(jobs)}
        case Queued(numbers):
            return "queue", {"waiting": numbers}
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
