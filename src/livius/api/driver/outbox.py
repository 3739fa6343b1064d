"""The messages to send on one link."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from livius_agent.wire import FromGateway

_MOST: Final = 1000
"""The limit of queued messages. An agent that reads has a few: acknowledgements and a statement."""


class Outbox:
    """A bounded queue.

    ``overflowed`` is set by a message without room, ``closed`` by the order to close the link. The
    sender may be blocked then, as the peer doesn't read, so other tasks wait for these.
    """

    def __init__(self) -> None:
        self._messages: deque[FromGateway] = deque()
        self._news = asyncio.Event()
        self.overflowed = asyncio.Event()
        self.closed = asyncio.Event()

    def send(self, message: FromGateway) -> None:
        """Queue a message; never blocks."""
        if len(self._messages) >= _MOST:
            self.overflowed.set()
            return
        self._messages.append(message)
        self._news.set()

    def close(self) -> None:
        """Close the link, even with queued messages: the redial sends them again."""
        self.closed.set()

    async def next(self) -> FromGateway:
        """Return the next message."""
        while not self._messages:
            self._news.clear()
            await self._news.wait()
        return self._messages.popleft()
