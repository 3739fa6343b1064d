"""Watchers in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from livius.domain.statement import Statement
from livius.ports.notifications import AnySessionChanged, Topic

_ANY = AnySessionChanged()


class _Watch:
    def __init__(self, *, over: bool) -> None:
        self._event = asyncio.Event()
        self._ended: Statement | None = None
        self.is_held = not over
        if over:
            self.release()

    def release(self, ended: Statement | None = None) -> None:
        self._ended = ended or self._ended
        self._event.set()

    async def changed(self, seconds: float) -> Statement | None:
        """See the port."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return None
        return self._ended


class LocalNotifications:
    """Implements the port's `Notifications`. At most ``most`` counted watches wait at once.

    Further ones don't wait at all: their callers get the present state and poll.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._count = 0
        self._closed = False
        self._watches: dict[Topic, set[_Watch]] = {}

    @contextmanager
    def watch(self, *topics: Topic, counted: bool = True) -> Iterator[_Watch]:
        """See the port."""
        watch = _Watch(over=self._closed or (counted and self._count >= self._most))
        self._count += counted
        for topic in topics:
            self._watches.setdefault(topic, set()).add(watch)
        try:
            yield watch
        finally:
            self._count -= counted
            for topic in topics:
                others = self._watches[topic]
                others.discard(watch)
                if not others:
                    del self._watches[topic]

    @property
    def watched(self) -> int:
        """How many counted watches there are, for the metrics."""
        return self._count

    def notify(self, topic: Topic, ended: Statement | None = None) -> None:
        """See the port."""
        for watch in self._watches.get(topic, ()):
            watch.release(ended)
        if isinstance(topic, str):  # a session's id
            for watch in self._watches.get(_ANY, ()):
                watch.release()

    def close(self) -> None:
        """Release all present and future watchers: the gateway is ending."""
        self._closed = True
        for watches in self._watches.values():
            for watch in watches:
                watch.is_held = False
                watch.release()
