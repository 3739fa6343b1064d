"""Every implementation of a port, to be put through the same tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.world import MemoryOutputs
from livius.adapters.outputs import FileOutputs
from livius.adapters.store import SqlStore, open_store
from livius.ports.outputs import Outputs


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = SqlStore(open_store(tmp_path / "livius.db"))
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "files"])
def outputs(request: pytest.FixtureRequest, tmp_path: Path) -> Outputs:
    return MemoryOutputs() if request.param == "memory" else FileOutputs(tmp_path / "outputs")
