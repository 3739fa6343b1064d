"""Answers of other servers, which may be as large as they like: never read beyond a limit."""

from __future__ import annotations

import httpx


class TooLarge(ValueError):
    """The answer is larger than the limit."""


async def read_bounded(answer: httpx.Response, most: int) -> bytes:
    """Return the body of a streamed answer.

    Raises:
        TooLarge: it has more than ``most`` bytes; the rest is not read.
    """
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > most:
            raise TooLarge(f"The answer has more than {most} bytes.")
    return bytes(body)
