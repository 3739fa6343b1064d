"""Learning at once that something changed, instead of asking again and again."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from livius.domain.ids import ReplId, SessionId, StatementNumber
from livius.domain.statement import Statement


@dataclass(frozen=True, slots=True)
class OutputGrew:
    """The topic of a statement's output: there is more of it."""

    repl: ReplId
    number: StatementNumber


@dataclass(frozen=True, slots=True)
class StatementsChanged:
    """The topic of a session's work: a statement came, began, advanced or ended."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class AnySessionChanged:
    """The topic of the lives of all sessions. It is never told by itself."""


Topic = (
    SessionId | tuple[ReplId, StatementNumber] | OutputGrew | StatementsChanged | AnySessionChanged
)
"""A session (its life), one statement (its end), a statement's output, or one of the above."""


class Watch(Protocol):
    """One caller's interest in some topics."""

    @property
    def is_held(self) -> bool:
        """Whether `changed` waits at all; it does not beyond the limit, or when all ends."""
        ...

    async def changed(self, seconds: float) -> Statement | None:
        """Return when one of them has changed since the watch began, or after the seconds.

        A statement that has ended is returned as it was committed, if whoever told of its end had
        it at hand. None: look at the record.
        """
        ...


class Notifications(Protocol):
    """Tells watchers. Only of what this process did: a hint to look again, not a record."""

    def watch(self, *topics: Topic, counted: bool = True) -> AbstractContextManager[Watch]:
        """Begin to watch. Look at the record *after* that, and no change can be missed.

        Watches that are ``counted`` are limited in number. Others are for callers that have a limit
        of their own.
        """
        ...

    def notify(self, topic: Topic, ended: Statement | None = None) -> None:
        """Say that the topic has changed. Called after the commit.

        With a statement's end comes its record, so that a thousand who wait for it don't all ask
        the store for the same.
        """
        ...
