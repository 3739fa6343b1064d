"""One gateway for all tests with Spark, and one session that most of them share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import Client, Gateway, RemoteSession


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
def session(client: Client) -> Iterator[RemoteSession]:
    with client.session(name="shared") as shared:
        yield shared
