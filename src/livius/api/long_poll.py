"""Held answers: how long a caller lets itself be held, and what happens when it leaves.

The wait is the server's choice, below every known client's timeout (30 s); a caller chooses another
with ``Prefer: wait=N`` (RFC 7240), 0 for none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Final, TypeVar

from fastapi import Request, Response
from starlette.exceptions import HTTPException

Value = TypeVar("Value")
_Answer = TypeVar("_Answer", bound=Response)

_LONGEST: Final = timedelta(seconds=60)
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,5})", re.IGNORECASE)
_CLIENT_CLOSED: Final = 499


def asked_long_poll(request: Request, default: timedelta) -> timedelta:
    """Return how long this request may be held."""
    preferred = preferred_wait(request)
    return default if preferred is None else preferred


def preferred_wait(request: Request) -> timedelta | None:
    """Return how long the caller wants to be held, within our bound; None if it doesn't say."""
    asked = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return min(timedelta(seconds=int(asked[1])), _LONGEST) if asked else None


def note_wait(answer: _Answer, wait: timedelta) -> _Answer:
    """Say in an answer for how long its request would have been held at most."""
    answer.headers["Preference-Applied"] = f"wait={wait.total_seconds():.0f}"
    return answer


async def unless_gone(request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    """Return what the work returns; end the work as soon as the caller has left.

    Only once the body is read, for it is the rest of the request that is listened to.
    """
    loop = asyncio.get_running_loop()
    working, watching = loop.create_task(work), loop.create_task(_until_gone(request))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(_CLIENT_CLOSED)
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.wait((working, watching))


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
