"""Statements whose output is large: their answer is put together piece by piece.

To render fifty megabytes at once would hold up everybody for as long as it takes. The data is JSON
already and is passed on as it is; the text is escaped in pieces.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Final

from starlette.responses import JSONResponse, Response, StreamingResponse

from livius.api.fabric.bodies import shown_text, statement_body
from livius.usecases.statements import StatementView
from livius_agent.text import json_bytes

_SMALL: Final = 64 * 1024
_PIECE: Final = 256 * 1024


def statement_response(view: StatementView) -> Response:
    """Return the answer to who asks for one statement."""
    if view.data is None and len(view.text) <= _SMALL:
        return JSONResponse(statement_body(view))
    return StreamingResponse(_pieces(view), media_type="application/json")


async def _pieces(view: StatementView) -> AsyncIterator[bytes]:
    # What stands for text and data in the rest of the answer, and for nothing else.
    token = secrets.token_hex(16)
    text, statement, ending = shown_text(view), view.statement, view.statement.ending
    if ending is not None and view.data is not None:
        ending = dataclasses.replace(ending, data={f"data-{token}": 0})
        statement = dataclasses.replace(statement, ending=ending)
    mark = f"text-{token}" if text else ""
    rest = statement_body(dataclasses.replace(view, statement=statement, text=mark))
    for part in re.split(
        f'("(?:text|data)-{token}"(?:: 0)?)', json.dumps(rest, ensure_ascii=False)
    ):
        if part == f'"{mark}"':
            for piece in _text(text):
                yield piece
                await asyncio.sleep(0)
        elif part == f'"data-{token}": 0':
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
