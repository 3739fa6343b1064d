"""Opening the database, bringing it to the present schema, and running transactions on it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Executable, create_engine, event
from sqlalchemy.exc import OperationalError

from livius.domain.errors import Unavailable

Result = TypeVar("Result")

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_BUSY_MILLISECONDS: Final = 10_000
_RETRY_AFTER: Final = timedelta(seconds=30)


class SchemaMismatch(Exception):
    """The database was made by a newer Livius. Install that one; nothing was changed."""


class Transactions:
    """Runs functions on a connection, each in a transaction of its own, off the event loop.

    SQLite has one writer, so there is one thread and one connection: a transaction never waits
    for a lock, and costs one hop to the thread and back.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """Run the function and commit; if it raises, roll back.

        A caller that is cancelled doesn't take the transaction back: it commits all the same.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    async def execute(self, query: Executable) -> None:
        """Run one statement in a transaction of its own."""

        def work(connection: Connection) -> None:
            connection.execute(query)

        await self.run(work)

    def _run(self, work: Callable[[Connection], Result]) -> Result:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except OperationalError as error:
            if _is_of_disk(error):
                raise Unavailable(
                    "InsufficientStorage",
                    "The server can't write to its disk now: it is full, or not writable. Try "
                    "again later; the operator finds the cause in the log.",
                    retry_after=_RETRY_AFTER,
                ) from error
            raise

    def close(self) -> None:
        """Finish what is queued, then close the connections."""
        self._thread.shutdown(wait=True)
        self._engine.dispose()


def _is_of_disk(error: OperationalError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # what is above says more of the same
    return code in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    )


def open_engine(url: str, *, synchronous: str = "NORMAL") -> Engine:
    """Return an engine whose SQLite connections are in WAL mode.

    ``synchronous=NORMAL`` survives a kill of the process; ``FULL`` a power cut too, at the cost
    of a disk flush with each commit.
    """
    # Any thread may close the connection; only the store's thread ever uses it.
    engine = create_engine(url, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # The sqlite3 module opens transactions in its own way and too late; ours begin
        # as writers at once, so that reading and then writing is one step.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            f"busy_timeout={_BUSY_MILLISECONDS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for work on a connection that is open already."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def migrate(engine: Engine) -> None:
    """Bring the database to the present schema, in one transaction.

    Raises:
        SchemaMismatch: it is newer than this version of Livius.
    """
    with engine.begin() as connection:
        config = alembic_config(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        present = MigrationContext.configure(connection).get_current_revision()
        if present is not None and present not in known:
            raise SchemaMismatch(
                f"The database has revision {present}, which this version of Livius does not know. "
                "It was made by a newer version: install that one."
            )
        command.upgrade(config, "head")


def open_store(database: Path, *, synchronous: str = "NORMAL") -> Transactions:
    """Open the SQLite file, making or migrating it, and return its transactions."""
    engine = open_engine(f"sqlite:///{database}", synchronous=synchronous)
    migrate(engine)
    database.chmod(0o600)
    return Transactions(engine)
