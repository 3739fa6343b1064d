"""A gateway that the tests kill, and the drivers that they leave to each other."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.gateway import Client, Gateway
from support.shared import Spares


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway of the test's own."""
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        fresh = Gateway(Path(folder) / "home")
        try:
            yield fresh
        finally:
            fresh.clean()


@pytest.fixture(scope="session")
def shared() -> Iterator[Gateway]:
    """A gateway for several tests, which each leave it serving. Its drivers are small."""
    settings = {"LIVIUS_DRIVER_MEMORY": "600m"}
    with (
        tempfile.TemporaryDirectory(prefix="livius-test-") as folder,
        Gateway(Path(folder) / "home", settings).serving() as started,
    ):
        yield started


@pytest.fixture(scope="session")
def caller(shared: Gateway) -> Client:
    return shared.client()


@pytest.fixture
def client(shared: Gateway, caller: Client) -> Client:
    """A client of a gateway that serves, even if the test before failed while it was down."""
    assert shared.process is not None
    if shared.process.poll() is not None:
        shared.start()
    caller.reconnect()
    return caller


@pytest.fixture(scope="session")
def spares(caller: Client) -> Iterator[Spares]:
    """Sessions that tests of starts leave to tests of ends."""
    found = Spares(caller)
    yield found
    found.end()


@pytest.fixture
def others(shared: Gateway, client: Client) -> set[psutil.Process]:
    """The processes of drivers that were there before the test."""
    assert client is not None
    return set(shared.driver_processes())
