"""Open streams of Server-Sent Events: their form, and their limits, in all and for each owner.

The format is that of the HTML standard, section 9.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final, Literal, get_args

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from livius.domain.errors import LiviusError, Unavailable
from livius.domain.messages import Message

MEDIA_TYPE: Final = "text/event-stream"
COMMENT: Final = b": nothing new\n\n"
Kind = Literal["session", "statement", "page"]

_MOST: Final = 500
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RETRY: Final = b"retry: 1000\n\n"
_RETRY_AFTER: Final = timedelta(seconds=10)


def event(data: bytes, *, position: object, name: str = "") -> bytes:
    """Return an event. Its data is one line; ``position`` becomes its id."""
    named = f"event: {name}\n" if name else ""
    return f"{named}id: {position}\ndata: ".encode() + data + b"\n\n"


class EventStreams:
    """All streams of this process, by kind and by owner."""

    def __init__(self) -> None:
        self._of_owner: Counter[str] = Counter()
        self._of_kind: Counter[str] = Counter()

    @property
    def open(self) -> Mapping[str, int]:
        """The number of open streams of each kind."""
        return {kind: self._of_kind[kind] for kind in get_args(Kind)}

    def serve(
        self, kind: Kind, owner: str, events: AsyncIterator[bytes], *, most_of_one: int
    ) -> Response:
        """Answer with a stream. It counts from now on until the caller leaves, or it ends.

        A `LiviusError` ends the stream: the next request for it says what the error is.

        Raises:
            Unavailable: there are too many streams already.
        """
        if self._of_kind.total() >= _MOST or self._of_owner[owner] >= most_of_one:
            raise Unavailable(
                "TooManyStreams",
                Message(
                    "There are at most %(of_one)s open streams of events for each caller and "
                    "%(most)s in all. Close one, or a page that shows one, and try again.",
                    of_one=most_of_one,
                    most=_MOST,
                ),
                retry_after=_RETRY_AFTER,
            )
        self._of_owner[owner] += 1
        self._of_kind[kind] += 1

        def ended() -> None:
            self._of_kind[kind] -= 1
            self._of_owner[owner] -= 1
            if not self._of_owner[owner]:
                del self._of_owner[owner]

        return _Stream(_until_refused(events), ended)


class _Stream(StreamingResponse):
    def __init__(self, events: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(events, media_type=MEDIA_TYPE, headers=_HEADERS)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


async def _until_refused(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield _RETRY
    with suppress(LiviusError):
        async for one in events:
            yield one
