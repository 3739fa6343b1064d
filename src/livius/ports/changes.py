"""Learning at once that something changed, instead of asking again and again."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from livius.domain.ids import ReplId, SessionId, StatementNumber

Topic = SessionId | tuple[ReplId, StatementNumber]
"""A session (its life), or one statement (its end)."""


class Watch(Protocol):
    """One caller's interest in a topic."""

    async def changed(self, seconds: float) -> None:
        """Return when the topic has changed since the watch began, or after the seconds."""
        ...


class Changes(Protocol):
    """Tells watchers. Only of what this process did: a hint to look again, not a record."""

    def watch(self, topic: Topic) -> AbstractContextManager[Watch]:
        """Begin to watch. Look at the record *after* that, and no change can be missed."""
        ...

    def notify(self, topic: Topic) -> None:
        """Say that the topic has changed. Called after the commit."""
        ...
