"""Statements, and lists of them, whose code or output is large: they are rendered in pieces.

To render fifty megabytes at once would hold up everybody for as long as it takes, in a thread too.
The data is JSON already and is passed on as it is; code and text are escaped in pieces.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import msgspec
from fastapi.responses import StreamingResponse

from livius.api.documented import Json
from livius.api.fabric.responses import shown_text, statement_body, statements_body
from livius.api.schemas import StatementDocument, StatementPage
from livius.usecases.statement_reads import StatementView
from livius_agent.text import json_bytes

_SMALL: Final = 64 * 1024
_PIECE: Final = 256 * 1024


def statement_response(view: StatementView) -> Json[StatementDocument] | StreamingResponse:
    """Return one statement's response."""
    if _is_small((view,)):
        return Json(statement_body(view))
    return StreamingResponse(_pieces(view), media_type="application/json")


def statements_response(
    views: Sequence[StatementView], *, total: int
) -> Json[StatementPage] | StreamingResponse:
    """Return the response of a page of a session's statements."""
    if _is_small(views):
        return Json(statements_body(views, total=total))
    return StreamingResponse(_page(views, total), media_type="application/json")


def _is_small(views: Sequence[StatementView]) -> bool:
    sizes = (len(view.statement.code) + len(view.text) + len(view.data or b"") for view in views)
    return sum(sizes) <= _SMALL


async def _page(views: Sequence[StatementView], total: int) -> AsyncIterator[bytes]:
    before, after = msgspec.json.encode(statements_body((), total=total)).split(b"[]")
    yield before + b"["
    for number, view in enumerate(views):
        if number:
            yield b","
        async for piece in _pieces(view):
            yield piece
    yield b"]" + after


async def _pieces(view: StatementView) -> AsyncIterator[bytes]:
    # A placeholder for code, text and data in the rest of the response, and for nothing else.
    token = secrets.token_hex(16)
    text = shown_text(view)
    rest = statement_body(
        dataclasses.replace(
            view,
            statement=dataclasses.replace(view.statement, code=f"code-{token}"),
            text=f"text-{token}" if text else "",
            data=f'{{"data-{token}":0}}'.encode() if view.data else None,
        )
    )
    long = {f'"code-{token}"': view.statement.code, f'"text-{token}"': text}
    for part in re.split(
        f'("(?:code|text|data)-{token}"(?::0)?)', msgspec.json.encode(rest).decode()
    ):
        if part in long:
            for piece in _text(long[part]):
                yield piece
                await asyncio.sleep(0)
        elif part == f'"data-{token}":0':
            for members in _members(view.data or b"{}"):
                yield bytes(members)
        else:
            yield part.encode()


def _text(text: str) -> Iterator[bytes]:
    yield b'"'
    for start in range(0, len(text), _PIECE):
        yield json_bytes(text[start : start + _PIECE])[1:-1]
    yield b'"'


def _members(data: bytes) -> Iterator[memoryview]:
    """Yield what is between the braces of a JSON object."""
    inner = memoryview(data)[data.index(b"{") + 1 : data.rindex(b"}")]
    for start in range(0, len(inner), _PIECE):
        yield inner[start : start + _PIECE]
