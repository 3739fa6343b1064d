"""Every implementation of a port, to be put through the same tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from fakes.world import MemoryOutputs
from livius.adapters.outputs import FileOutputs
from livius.adapters.store import SqlStore, open_store
from livius.adapters.store.dialects import Postgresql
from livius.adapters.store.engine import open_database
from livius.ports.outputs import Outputs
from support import postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    if request.param == "sqlite":
        opened = SqlStore(open_store(tmp_path / "livius.db"))
        yield opened
        opened.close()
        return
    url = postgresql.new_database(request.getfixturevalue("cluster"))
    opened = SqlStore(open_database(Postgresql(url)))
    yield opened
    opened.close()
    postgresql.drop_database(url)


class ReadCommitted(Postgresql):
    """A PostgreSQL whose transactions see what others commit while they run."""

    def open(self) -> Engine:
        return super().open().execution_options(isolation_level="READ COMMITTED")


@pytest.fixture
async def read_committed(cluster: str) -> AsyncIterator[SqlStore]:
    """A store in which only a constraint, or a single statement, is a guard."""
    url = postgresql.new_database(cluster)
    opened = SqlStore(open_database(ReadCommitted(url)))
    yield opened
    opened.close()
    postgresql.drop_database(url)


@pytest.fixture(params=["memory", "files"])
def outputs(request: pytest.FixtureRequest, tmp_path: Path) -> Outputs:
    return MemoryOutputs() if request.param == "memory" else FileOutputs(tmp_path / "outputs")
