"""A gateway that the tests kill, with short idle times and room for few drivers."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway of the test's own."""
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        fresh = Gateway(Path(folder) / "home")
        try:
            yield fresh
        finally:
            fresh.clean()


@pytest.fixture(scope="module")
def shared() -> Iterator[Gateway]:
    """A gateway for several tests, which each leave it serving."""
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        started = Gateway(Path(folder) / "home")
        try:
            yield started.start()
            started.stop()
            assert started.processes() == []
        finally:
            started.clean()
