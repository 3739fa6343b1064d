"""Opens the database, migrates it to the present schema, and runs transactions."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, Executable, Table, insert, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from livius.adapters.store.dialects import Dialect, Sqlite
from livius.adapters.store.schema import METADATA, VERSION
from livius.domain.errors import Unavailable
from livius.domain.messages import Message

Result = TypeVar("Result")

_MIGRATIONS: Final = Path(__file__).parent / "migrations" / "versions"
_RETRY_AFTER: Final = timedelta(seconds=30)
_AGAIN_FOR: Final = 10.0
"""Seconds for which a transaction is repeated after conflicts."""
_AGAIN_AFTER: Final = 0.02


class Transactions:
    """Runs functions on a connection, each in a transaction of its own, off the event loop.

    Each runs as if it were alone: see `Dialect`. So a function may be called more than once, and
    may have no effect but through its connection. There are as many threads as the dialect has
    connections, and a connection stays with its thread: to get one from the pool and give it back
    costs as much as a small query.
    """

    def __init__(self, engine: Engine, dialect: Dialect) -> None:
        self._engine = engine
        self._dialect = dialect
        self.observe: Callable[[float, float], None] = lambda _waited, _worked: None
        """Called for each transaction, in its thread: with the seconds that it waited and took."""
        self._threads = ThreadPoolExecutor(dialect.connections, thread_name_prefix="store")
        self._own = threading.local()
        self._connections: list[Connection] = []

    async def run(
        self, work: Callable[[Connection], Result], *, sees_taken: bool = False
    ) -> Result:
        """Run the function and commit; if it raises, roll back.

        ``sees_taken``: the function checks whether a unique value is taken. If a constraint fails
        nevertheless, another transaction took it meanwhile, and the function runs again.

        Cancellation of the caller doesn't roll the transaction back.
        """
        loop = asyncio.get_running_loop()
        asked_at = time.perf_counter()
        return await loop.run_in_executor(
            self._threads, lambda: self._run(work, asked_at, sees_taken=sees_taken)
        )

    def changes_of(self, *tables: Table) -> Callable[[Connection], object]:
        """Return a function whose value differs after each change of these tables."""
        return self._dialect.changes_of(self._engine, tables)

    async def execute(self, query: Executable) -> None:
        """Run one statement in a transaction of its own."""

        def work(connection: Connection) -> None:
            connection.execute(query)

        await self.run(work)

    def _run(
        self, work: Callable[[Connection], Result], asked_at: float, *, sees_taken: bool
    ) -> Result:
        began = time.perf_counter()
        try:
            while True:
                try:
                    with self._connection().begin() as transaction:
                        return work(transaction.connection)
                except DBAPIError as error:
                    late = time.perf_counter() - began > _AGAIN_FOR
                    taken = sees_taken and isinstance(error, IntegrityError)
                    if late or not (taken or self._dialect.is_conflict(error)):
                        raise
                time.sleep(random.uniform(0, _AGAIN_AFTER))  # noqa: S311 - no secret
        except DBAPIError as error:
            if self._dialect.is_of_disk(error):
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

    def _connection(self) -> Connection:
        own: Connection | None = getattr(self._own, "connection", None)
        if own is None:
            own = self._own.connection = self._engine.connect()
            self._connections.append(own)
        return own

    def close(self) -> None:
        """Finish what is queued, then close the connections."""
        self._threads.shutdown(wait=True)
        for connection in self._connections:
            connection.close()
        self._engine.dispose()


def open_store(database: Path, *, synchronous: str = "NORMAL") -> Transactions:
    """Open the SQLite file, making or migrating it, and return its transactions."""
    # SQLite gives the files beside it the same mode.
    database.touch(mode=0o600)
    database.chmod(0o600)
    return open_database(Sqlite(f"sqlite:///{database}", synchronous=synchronous))


def open_database(dialect: Dialect) -> Transactions:
    """Open a database, making or migrating its tables, and return its transactions."""
    engine = dialect.open()
    newest = max(file.name.partition("_")[0] for file in _MIGRATIONS.glob("[0-9]*.py"))
    if _present(engine, newest) != newest:
        # Alembic takes nine megabytes and a third of a second: only starts that need it pay.
        from livius.adapters.store.migrate import migrate

        migrate(engine)
    return Transactions(engine, dialect)


def _present(engine: Engine, newest: str) -> str | None:
    """Return the last migration of a database. An empty one is made to what the newest leads to."""
    with engine.begin() as connection:
        if not inspect(connection).get_table_names():
            METADATA.create_all(connection)
            VERSION.create(connection)
            connection.execute(insert(VERSION).values(version_num=newest))
        present = connection.execute(select(VERSION.c.version_num)).scalar()
    return None if present is None else str(present)
