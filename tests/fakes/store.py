"""The real store, in memory: each one begins as a copy of an empty database, made in a moment."""

import functools
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from livius.adapters.store import SqlStore, open_store
from livius.adapters.store.dialects import Sqlite
from livius.adapters.store.engine import Result, Transactions

_SQLITE = Sqlite("sqlite://")
_COPYING = threading.Lock()


@functools.cache
def _empty() -> sqlite3.Connection:
    copied = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "livius.db"
        open_store(database).close()
        made = sqlite3.connect(database)
        made.backup(copied)
        made.close()
    return copied


@functools.cache
def _engine() -> Engine:
    """One for all stores, as each engine would compile every statement again."""
    engine = _SQLITE.open()

    @event.listens_for(engine, "connect")
    def _fill(connection: Any, _record: Any) -> None:
        with _COPYING:
            _empty().backup(connection)

    return engine


def transactions() -> Transactions:
    """Transactions on an empty database of their own."""
    return Transactions(_engine().execution_options(), _SQLITE)


class _InLine(Transactions):
    """Runs its transactions in the caller's thread: a change of threads takes longer than most."""

    async def run(
        self, work: Callable[[Connection], Result], *, sees_taken: bool = False
    ) -> Result:
        return self._run(work, time.perf_counter(), sees_taken=sees_taken)


def in_line_store() -> SqlStore:
    """A store for a test whose callers never come at the same time."""
    return SqlStore(_InLine(_engine().execution_options(), _SQLITE))


def new_store() -> SqlStore:
    return SqlStore(transactions())
