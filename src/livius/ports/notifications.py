"""Notifications of changes, instead of polling."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from livius.domain.ids import OperationId, ReplId, SessionId, StatementNumber
from livius.domain.statement import Statement


@dataclass(frozen=True, slots=True)
class OutputGrew:
    """The topic of a statement's output: there is more of it."""

    repl: ReplId
    number: StatementNumber


@dataclass(frozen=True, slots=True)
class StatementsChanged:
    """The topic of a session's work: a statement was added, began, advanced or ended."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class AnySessionChanged:
    """The topic of the lives of all sessions.

    It is notified with each session's, never by itself.
    """


@dataclass(frozen=True, slots=True)
class OperationChanged:
    """The topic of a long-running operation."""

    operation: OperationId


Topic = (
    SessionId
    | tuple[ReplId, StatementNumber]
    | OutputGrew
    | StatementsChanged
    | AnySessionChanged
    | OperationChanged
)
"""A session (its life), one statement (its end), a statement's output, or one of the above."""


class Watch(Protocol):
    """One caller's interest in some topics."""

    @property
    def is_held(self) -> bool:
        """Whether `changed` waits at all: not beyond the limit, and not during a shutdown."""
        ...

    async def changed(self, seconds: float) -> Statement | None:
        """Return when one of them has changed since the watch began, or after the seconds.

        If the notification of a statement's end came with its committed record, that record is
        returned. None: read the record.
        """
        ...


class Notifications(Protocol):
    """Notifies watchers of changes by this process.

    A notification is a hint to read the record again.
    """

    def watch(self, *topics: Topic, counted: bool = True) -> AbstractContextManager[Watch]:
        """Begin to watch. A caller that reads the record *after* that can't miss a change.

        Watches that are ``counted`` are limited in number. Others are for callers that have a limit
        of their own.
        """
        ...

    def notify(self, topic: Topic, ended: Statement | None = None) -> None:
        """Notify the watchers of a topic, after the commit.

        A statement's end comes with its record, so that a thousand watchers don't all read it from
        the store.
        """
        ...
