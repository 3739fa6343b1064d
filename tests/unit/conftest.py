"""The fixtures of unit tests."""

from collections.abc import AsyncIterator, Iterator

import pytest

from fakes.store import new_store
from fakes.world import World
from livius.adapters.store import SqlStore


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = await World().begin()
    yield made
    made.store.close()


@pytest.fixture
def store() -> Iterator[SqlStore]:
    made = new_store()
    yield made
    made.close()
