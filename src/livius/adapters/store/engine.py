"""Opening the database, bringing it to the present schema, and running transactions on it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, Executable, Table, create_engine, event, inspect
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from livius.adapters.store.schema import METADATA
from livius.domain.errors import Unavailable
from livius.domain.messages import Message

Result = TypeVar("Result")

_MIGRATIONS: Final = Path(__file__).parent / "migrations" / "versions"
_VERSION: Final = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""Alembic's own table, for databases that are made without it."""

_BUSY_MILLISECONDS: Final = 10_000
_RETRY_AFTER: Final = timedelta(seconds=30)


class Transactions:
    """Runs functions on a connection, each in a transaction of its own, off the event loop.

    SQLite has one writer, so there is one thread and one connection: a transaction never waits
    for a lock, and costs one hop to the thread and back. The connection stays with the thread: to
    get one from the pool and give it back costs as much as a small query.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.observe: Callable[[float, float], None] = lambda _waited, _worked: None
        """Told of each transaction, in its thread: seconds that it waited, and that it took."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """Run the function and commit; if it raises, roll back.

        A caller that is cancelled doesn't take the transaction back: it commits all the same.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run, work, time.perf_counter())

    def changes_of(self, *tables: Table) -> Callable[[Connection], object]:
        """Return a function whose value differs after each change of these tables.

        It counts what is changed here, and sees that another process has changed something.
        """
        own = 0

        def note(_connection: Connection, query: Any, *_more: object) -> None:
            nonlocal own
            if getattr(query, "is_dml", False) and query.table in tables:
                own += 1

        event.listen(self._engine, "after_execute", note)
        return lambda connection: (
            own,
            connection.exec_driver_sql("PRAGMA data_version").scalar(),
        )

    async def execute(self, query: Executable) -> None:
        """Run one statement in a transaction of its own."""

        def work(connection: Connection) -> None:
            connection.execute(query)

        await self.run(work)

    def _run(self, work: Callable[[Connection], Result], asked_at: float) -> Result:
        began = time.perf_counter()
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                return work(self._connection)
        except OperationalError as error:
            if _is_of_disk(error):
                raise Unavailable(
                    "InsufficientStorage",
                    Message(
                        "The server can't write to its disk now: it is full, or not writable. Try "
                        "again later; the operator finds the cause in the log."
                    ),
                    retry_after=_RETRY_AFTER,
                ) from error
            raise
        finally:
            self.observe(began - asked_at, time.perf_counter() - began)

    def close(self) -> None:
        """Finish what is queued, then close the connections."""
        self._thread.shutdown(wait=True)
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()


def _is_of_disk(error: OperationalError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # what is above says more of the same
    return code in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    )


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def open_engine(url: str, *, synchronous: str = "NORMAL") -> Engine:
    """Return an engine whose SQLite connections are in WAL mode.

    ``synchronous=NORMAL`` survives a kill of the process; ``FULL`` a power cut too, at the cost
    of a disk flush with each commit.
    """
    # Any thread may close the connection; only the store's thread ever uses it, and keeps it.
    engine = create_engine(url, connect_args={"check_same_thread": False}, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # The sqlite3 module opens transactions in its own way and too late; ours begin
        # as writers at once, so that reading and then writing is one step.
        connection.isolation_level = None
        # SQLite's own knows ASCII alone; what is compared with Python's has to be the same.
        connection.create_function("lower", 1, _lower, deterministic=True)
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            "recursive_triggers=ON",  # else REPLACE deletes what a trigger would keep
            f"busy_timeout={_BUSY_MILLISECONDS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def open_store(database: Path, *, synchronous: str = "NORMAL") -> Transactions:
    """Open the SQLite file, making or migrating it, and return its transactions."""
    # SQLite gives the files beside it the mode that it finds.
    database.touch(mode=0o600)
    database.chmod(0o600)
    engine = open_engine(f"sqlite:///{database}", synchronous=synchronous)
    newest = max(file.name.partition("_")[0] for file in _MIGRATIONS.glob("[0-9]*.py"))
    if _present(engine, newest) != newest:
        # Alembic takes nine megabytes and a third of a second: only starts that need it pay.
        from livius.adapters.store.migrate import migrate

        migrate(engine)
    return Transactions(engine)


def _present(engine: Engine, newest: str) -> str | None:
    """Return the last migration of a database. An empty one is made to what the newest leads to."""
    with engine.begin() as connection:
        if not inspect(connection).get_table_names():
            METADATA.create_all(connection)
            connection.exec_driver_sql(_VERSION)
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (newest,))
        present = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if present is None else str(present)
