"""Long polls: how long a response may wait, and the end of the wait when the caller leaves.

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
    """Return how long this response may wait."""
    preferred = preferred_wait(request)
    return default if preferred is None else preferred


def preferred_wait(request: Request) -> timedelta | None:
    """Return the caller's preferred wait, within our limit; None if it has none."""
    asked = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return min(timedelta(seconds=int(asked[1])), _LONGEST) if asked else None


def note_wait(answer: _Answer, wait: timedelta) -> _Answer:
    """Set the response's header with the longest wait."""
    answer.headers["Preference-Applied"] = f"wait={wait.total_seconds():.0f}"
    return answer


async def unless_gone(request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    """Return the work's result; cancel the work as soon as the caller has left.

    Call it after the body was read, because it reads the rest of the request.
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
