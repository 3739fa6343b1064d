"""Clients that leave before their body is there: nobody is answered, and the log stays empty."""

import logging
import socket
from collections.abc import Iterator

import pytest
from fastapi import APIRouter, Request
from structlog.testing import capture_logs

from livius.api.app import create_app
from support.listening import Listening, is_closed, listening
from support.waiting import wait_for
from wire.conftest import NamedTokens

HALF = b"POST /things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1234"
SEEN: list[int] = []


@pytest.fixture
def place() -> Iterator[Listening]:
    """A listener of the whole application with one route, which reads its body."""
    SEEN.clear()
    router = APIRouter()

    @router.post("/things")
    async def read(request: Request) -> int:
        return len(await request.body())

    app = create_app(
        NamedTokens(), [router], version="0", observe=lambda _m, _r, status, _s: SEEN.append(status)
    )
    with listening(app) as made:
        yield made


@pytest.mark.parametrize("leaves", [True, False])
def test_a_client_that_leaves_is_no_error(
    place: Listening, caplog: pytest.LogCaptureFixture, *, leaves: bool
) -> None:
    with capture_logs() as ours, caplog.at_level(logging.INFO):
        made = place.connect()
        made.sendall(HALF)
        if leaves:
            made.shutdown(socket.SHUT_WR)
            made.close()
        else:
            assert is_closed(made)  # It took too long.
        wait_for(lambda: SEEN, seconds=5, what="the request has ended")
        made = place.connect()
        made.sendall(HALF + b"56789")
        assert b"200" in made.recv(65536)
    assert SEEN == [499, 200]
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one["status"] for one in ours if one["log_level"] != "debug"] == [200]
