"""One gateway for all tests with Spark, and one session that most of them share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import Client, Gateway, RemoteSession
from support.shared import SharedSession


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        started = Gateway(Path(folder) / "home", settings={"LIVIUS_CANCEL_GRACE": "PT3S"})
        with started.serving():
            yield started


@pytest.fixture(scope="session")
def client(gateway: Gateway) -> Client:
    return gateway.client()


@pytest.fixture(scope="session")
def shared(client: Client) -> Iterator[SharedSession]:
    sessions = SharedSession(client)
    yield sessions
    sessions.end()


@pytest.fixture
def session(shared: SharedSession) -> Iterator[RemoteSession]:
    """The session that tests share; one that breaks it fails, and the next test gets a new one."""
    with shared.used() as session:
        yield session
