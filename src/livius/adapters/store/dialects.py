"""The differences between databases that matter to the store.

A dialect promises that a transaction runs as if it were alone: its reads stay true until it has
committed, or it fails, changes nothing, and runs again. The store's SQL is the same for all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Table,
    Text,
    cast,
    create_engine,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

_BUSY_MILLISECONDS: Final = 10_000
_CONNECTIONS: Final = 8


class Dialect(Protocol):
    """One kind of database."""

    connections: int
    """How many transactions run at the same time."""

    def open(self) -> Engine:
        """Return an engine whose connections are set up."""
        ...

    def is_of_disk(self, error: DBAPIError) -> bool:
        """Tell whether the database could not read or write its files."""
        ...

    def is_conflict(self, error: DBAPIError) -> bool:
        """Tell whether a conflict with another transaction ended it, so that it must run again."""
        ...

    def changes_of(self, engine: Engine, tables: Sequence[Table]) -> Callable[[Connection], object]:
        """Return a function whose value differs after each change of these tables."""
        ...


class Sqlite:
    """SQLite in WAL mode.

    It has one writer, so there is one connection: a transaction never waits for a lock.
    ``synchronous=NORMAL`` survives a kill of the process; ``FULL`` a power cut too, at the cost
    of a disk flush with each commit.
    """

    connections = 1

    def __init__(self, url: str, *, synchronous: str = "NORMAL") -> None:
        self._url = url
        self._synchronous = synchronous

    def open(self) -> Engine:
        """See `Dialect`."""
        # Any thread may close the connection; only the store's thread ever uses it, and keeps it.
        engine = create_engine(
            self._url, connect_args={"check_same_thread": False}, poolclass=NullPool
        )

        @event.listens_for(engine, "connect")
        def _on_connect(connection: Any, _record: Any) -> None:
            # The sqlite3 module opens transactions in its own way and too late; ours begin
            # as writers at once, so that reading and then writing is one step.
            connection.isolation_level = None
            # SQLite's own function knows only ASCII, and the result has to equal Python's.
            connection.create_function("lower", 1, _lower, deterministic=True)
            for pragma in (
                "journal_mode=WAL",
                f"synchronous={self._synchronous}",
                "foreign_keys=ON",
                "recursive_triggers=ON",  # else REPLACE deletes what a trigger would keep
                f"busy_timeout={_BUSY_MILLISECONDS}",
            ):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    def is_of_disk(self, error: DBAPIError) -> bool:
        """See `Dialect`."""
        code = (
            getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        )  # the dialect above says more about it
        return code in (
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_CANTOPEN,
        )

    def is_conflict(self, error: DBAPIError) -> bool:
        """See `Dialect`."""
        del error
        return False

    def changes_of(self, engine: Engine, tables: Sequence[Table]) -> Callable[[Connection], object]:
        """See `Dialect`. Counts changes of this process, and notices writes of others."""
        own = 0

        def note(_connection: Connection, query: Any, *_more: object) -> None:
            nonlocal own
            if getattr(query, "is_dml", False) and query.table in tables:
                own += 1

        event.listen(engine, "after_execute", note)
        return lambda connection: (
            own,
            connection.exec_driver_sql("PRAGMA data_version").scalar(),
        )


class Postgresql:
    """PostgreSQL, with serializable transactions on a pool of connections."""

    connections = _CONNECTIONS

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self) -> Engine:
        """See `Dialect`."""
        return create_engine(
            self._url,
            isolation_level="SERIALIZABLE",
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
        )

    def is_of_disk(self, error: DBAPIError) -> bool:
        """See `Dialect`."""
        return _state(error) in ("53100", "58030")  # disk_full, io_error

    def is_conflict(self, error: DBAPIError) -> bool:
        """See `Dialect`."""
        return _state(error) in ("40001", "40P01")  # serialization_failure, deadlock_detected

    def changes_of(self, engine: Engine, tables: Sequence[Table]) -> Callable[[Connection], object]:
        """See `Dialect`. A row that is new or changed has the number of its transaction."""
        del engine
        number = cast(cast(literal_column("xmin"), Text), BigInteger)
        queries = [select(func.count(), func.max(number)).select_from(table) for table in tables]
        return lambda connection: [tuple(connection.execute(query).one()) for query in queries]


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value
