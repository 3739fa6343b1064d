"""One gateway for all tests with Spark, one session that most share, and one for new repls."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import repls
from support.gateway import Client, Gateway, RemoteSession
from support.repls import RemoteRepl
from support.shared import SharedSession


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """It logs all it can: tests look for secrets there."""
    settings = {"LIVIUS_CANCEL_GRACE": "PT3S", "LIVIUS_LOG_LEVEL": "debug"}
    with (
        tempfile.TemporaryDirectory(prefix="livius-test-") as folder,
        Gateway(Path(folder) / "home", settings).serving() as started,
    ):
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


@pytest.fixture
def fresh(client: Client) -> Iterator[RemoteRepl]:
    """A new repl, in another driver than that of `session`."""
    with repls.shared(client, 1) as [repl]:
        yield repl
