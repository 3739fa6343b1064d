"""Livius's own routes: a statement's text and rows without the JSON envelope."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import chain
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from livius.api.byte_ranges import requested_part
from livius.api.errors import envelope
from livius.api.fabric.paths import BASE, STATEMENTS, Id, Target
from livius.api.fabric.rows import FORMATS, Rows, rows_of
from livius.api.long_poll import asked_long_poll, unless_gone
from livius.domain.errors import Conflict, Invalid
from livius.domain.permissions import READ_SESSION
from livius.usecases import downloads
from livius.usecases.access import own_repl
from livius.usecases.context import Context

_TEXT: Final = {"text/plain": {"schema": {"type": "string"}}}
_ROWS: Final = {media: {"schema": {"type": "string"}} for media, _ in FORMATS.values()}
Format = Annotated[str | None, Query(json_schema_extra={"enum": list(FORMATS)})]
_CUT: Final = "Livius-Truncated"


def router(context: Context) -> APIRouter:
    """Return the routes over one core."""
    routes = APIRouter(prefix=BASE, tags=["Fabric Livy API"])
    for base in STATEMENTS:
        _add(routes, context, base + "/{number}")
    return routes


def _add(routes: APIRouter, context: Context, statement: str) -> None:
    @routes.get(
        statement + "/output",
        response_class=Response,
        responses={
            200: {"description": "The text.", "content": _TEXT},
            206: {"description": "The bytes of the range.", "content": _TEXT},
        },
    )
    async def output(place: Target, number: Id, request: Request) -> Response:
        """Return a statement's text so far.

        It takes a range of bytes. Fabric has no such endpoint.
        """
        here, path = place
        _session, repl = await own_repl(context, here.caller, path, READ_SESSION)
        text = await downloads.find_text(context, repl, number)
        statement = text.statement
        # A statement's text never changes, but only an ended one's text is whole.
        etag = f'"{statement.repl}-{statement.number}"' if text.is_whole else None
        part = requested_part(request.headers, text.size, etag)
        return StreamingResponse(
            downloads.text_pieces(context, statement, start=part.start, end=part.end),
            status_code=part.status,
            headers=dict(part.headers),
            media_type="text/plain; charset=utf-8",
        )

    @routes.get(
        statement + "/rows",
        response_class=Response,
        responses={200: {"description": "The rows.", "content": _ROWS}},
    )
    async def rows(
        place: Target,
        number: Id,
        request: Request,
        format: Format = None,  # noqa: A002 - the wire's
        timezone: str | None = None,
    ) -> Response:
        """Return a statement's rows: ndjson, csv or arrow, by ``format`` or by ``Accept``.

        It is held until the statement has ended. Fabric has no such endpoint.
        """
        chosen = _chosen(request, format)
        if chosen is None:
            types = ", ".join(media for media, _ in FORMATS.values())
            message = f"Rows come as {types}. Accept one of these, or name a format."
            return envelope(406, "NotAcceptable", message)
        zone = _zone(timezone)
        here, path = place
        _session, repl = await own_repl(context, here.caller, path, READ_SESSION)
        wait = asked_long_poll(request, context.rules.long_poll)
        reading = downloads.find_data(context, repl, number, long_poll=wait)
        result = await asyncio.to_thread(rows_of, await unless_gone(request, reading))
        if result is None:
            raise downloads.no_rows("its output is something else.")
        media, _write = FORMATS[chosen]
        try:
            pieces = await asyncio.to_thread(_begun, result, chosen, zone)
        except ImportError:
            message = "Arrow needs pyarrow in the gateway's environment. Use ndjson or csv."
            return envelope(501, "FeatureNotAvailable", message)
        headers = {_CUT: "true"} if result.is_cut else {}
        return StreamingResponse(pieces, media_type=media, headers=headers)


def _begun(rows: Rows, chosen: str, zone: str | None) -> Iterator[bytes]:
    """Return the pieces with the first one written: most errors show in it, and get an answer."""
    pieces = FORMATS[chosen][1](rows, zone)
    try:
        first = next(pieces, b"")
    except ValueError as error:
        raise Conflict(
            "ValueOutOfRange", f"{error}. Use ndjson or csv, or cast it to string in the query."
        ) from error
    return chain((first,), pieces)


def _chosen(request: Request, named: str | None) -> str | None:
    """Return a format's name; None if the request accepts none of them.

    Raises:
        Invalid: it names a format that there is not.
    """
    if named is not None:
        if named not in FORMATS:
            known = ", ".join(FORMATS)
            raise Invalid("InvalidInput", f"format is one of {known}.", field="format")
        return named
    accepted = request.headers.get("accept", "*/*")
    ranked = sorted((_media_range(one) for one in accepted.split(",")), key=lambda one: -one[1])
    for pattern, quality in ranked:
        for name, (media, _write) in FORMATS.items():
            if quality > 0 and fnmatchcase(media, pattern):
                return name
    return None


def _media_range(text: str) -> tuple[str, float]:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return media, float(quality)
    except ValueError:
        return media, 0.0


def _zone(name: str | None) -> str | None:
    if name is not None:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError) as error:
            raise Invalid(
                "InvalidInput", "timezone is a name such as Europe/Berlin.", field="timezone"
            ) from error
    return name
