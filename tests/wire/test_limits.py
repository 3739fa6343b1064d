"""Strangers against a listener: idle, slow, endless and many. Somebody else is always served."""

import asyncio
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from livius.adapters.listener import protocols
from livius.adapters.listener.connections import Connections, within_descriptors
from livius.adapters.listener.protocols import LARGEST_HEAD, MOST_HEADERS
from livius.bootstrap.listeners import KEEP_ALIVE
from livius.installation.certificates import Certificates
from livius.installation.tls import ensure_certificates
from support.listening import Listening, is_closed, listening
from support.tasks import running, until
from support.waiting import wait_for

START = {"type": "http.response.start", "status": 200, "headers": []}
KNOWN = threading.Event()
LARGE = 60_000_000
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once, but /held after two seconds, /read once the body is there, /large much."""
    if scope["type"] != "http":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    path = scope["path"]
    if path in ("/known", "/known-read"):
        scope["state"]["note_known"]()
        KNOWN.set()
    if path == "/held":
        await asyncio.sleep(2)
    if path in ("/read", "/known-read"):
        while (await receive()).get("more_body"):
            pass
    body = b"x" * LARGE if path == "/large" else b""
    await send({**START, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    return ensure_certificates(folder)


@pytest.fixture(params=["http", "https"])
def place(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Listening]:
    """A listener with five places of one address and a patience of one second."""
    chosen = certificates if request.param == "https" else None
    with listening(application, certificates=chosen, most=8, most_of_peer=6) as made:
        yield made


def send_until_ended(made: socket.socket, piece: bytes, *, pause: float = 0.0) -> None:
    """Send a piece again and again; the other side has ended the connection within 10 seconds."""
    deadline = time.monotonic() + 10
    try:
        while time.monotonic() < deadline:
            made.sendall(piece)
            time.sleep(pause)
    except OSError:
        return
    raise AssertionError("the connection goes on")


def test_a_connection_outlives_the_sleep_between_a_clients_questions() -> None:
    assert KEEP_ALIVE > 60


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HEAD + b"X-Slow: 1", b"\r\n\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(place: Listening, sent: bytes) -> None:
    slow = place.connect_securely()
    slow.sendall(sent)
    assert is_closed(slow)
    assert place.dropped["late"] == 1


def test_a_handshake_that_does_not_come_is_not_waited_for(certificates: Certificates) -> None:
    with listening(application, certificates=certificates) as place:
        slow = place.connect()
        slow.sendall(b"\x16\x03\x01")
        assert is_closed(slow)
        wait_for(lambda: len(place.connections) == 0, seconds=5, what="the place is free")


def test_a_head_that_trickles_is_not_waited_for(place: Listening) -> None:
    slow, began = place.connect_securely(), time.monotonic()
    slow.sendall(HEAD)
    send_until_ended(slow, b"X-More: 1\r\n", pause=0.05)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("path", [b"/", b"/read"])
def test_a_body_that_does_not_move_is_not_waited_for(place: Listening, path: bytes) -> None:
    slow, began = place.connect_securely(), time.monotonic()
    slow.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\nx" % path)
    while not is_closed(slow):
        pass  # The answer, where it doesn't need the body.
    assert time.monotonic() - began < 5
    assert place.dropped["late"] == 1


def test_a_body_that_moves_is_waited_for(place: Listening) -> None:
    with place.connect_securely() as made:
        made.sendall(b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n")
        for _ in range(15):
            made.sendall(b"x" * 6000)
            time.sleep(0.1)
        assert b"200" in made.recv(65536)


def test_a_held_request_has_no_deadline(place: Listening) -> None:
    assert b"200" in place.ask(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")


HALF = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1234"


def test_a_request_behind_a_held_one_has_its_time_once_it_is_read(place: Listening) -> None:
    with place.connect_securely() as made:
        made.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF)
        assert b"200" in made.recv(65536)
        made.sendall(b"56789" + HEAD)
        assert b"200" in made.recv(65536)
        made.sendall(b"\r\n")
        assert b"200" in made.recv(65536)


def test_a_request_behind_a_held_one_is_not_waited_for_longer(place: Listening) -> None:
    slow = place.connect_securely()
    slow.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF)
    assert b"200" in slow.recv(65536)
    began = time.monotonic()
    assert is_closed(slow)
    assert 0.5 < time.monotonic() - began < 5


def test_a_connection_stays_between_requests(place: Listening) -> None:
    with place.connect_securely() as made:
        for _ in range(2):
            made.sendall(HEAD + b"\r\n")
            assert b"200" in made.recv(65536)
            time.sleep(2)
        assert not place.dropped


def test_an_answer_that_nobody_reads_is_not_kept(
    place: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "_SLOWEST_PEER", 30_000_000)
    place.connections.keep_alive = 1  # Under TLS what is not read looks as if it were.
    deaf = place.connect_securely()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_for(lambda: place.dropped["late"], seconds=10, what="it is ended")
    assert len(place.connections) == 0


def test_a_large_answer_that_is_read_slowly_arrives() -> None:
    """Half of it is read after the patience with a small one is over."""
    with listening(application) as place, place.connect() as made:
        made.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        read, began = 0, time.monotonic()
        while piece := made.recv(1_000_000):
            read += len(piece)
            if time.monotonic() - began < 5:
                time.sleep(0.25)
        assert read > LARGE
        assert not place.dropped


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * LARGEST_HEAD + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"X-Long: " + b"a" * LARGEST_HEAD + b"\r\n\r\n",
        HEAD + b"X-Long-" + b"a" * LARGEST_HEAD + b": 1\r\n\r\n",
        HEAD + b"X-One: 1\r\n" * MOST_HEADERS + b"\r\n",
    ],
)
def test_a_head_that_is_too_large_is_refused(place: Listening, sent: bytes) -> None:
    answer = place.ask(sent)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"Send fewer or shorter headers" in answer
    assert b"200" in place.ask()


@pytest.mark.parametrize("piece", [b"a", b"X-One: 1\r\n"])
def test_an_endless_head_costs_next_to_nothing(place: Listening, piece: bytes) -> None:
    endless = place.connect_securely()
    endless.sendall(HEAD + b"X-Long: ")
    send_until_ended(endless, piece * (64 * 1024 // len(piece)))
    began = time.perf_counter()
    assert b"200" in place.ask()
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "rest",
    [b"1;" + b"a" * 500_000, b"0\r\nX: " + b"a" * 500_000, b"1\r\na\r\n0\r\nX: " + b"a" * 500_000],
)
def test_padding_around_a_body_is_bounded(place: Listening, rest: bytes) -> None:
    sly = place.connect_securely()
    sly.sendall(b"POST /read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    send_until_ended(sly, rest, pause=0.001)


def test_a_trailer_is_no_header(place: Listening) -> None:
    """It would reach the application after the application has judged the request."""
    with place.connect_securely() as made:
        made.sendall(
            b"POST /read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\nAuthorization: Bearer x\r\n\r\n"
        )
        assert b"200" in made.recv(65536)


def test_a_body_that_goes_on_after_its_answer_is_bounded(place: Listening) -> None:
    endless = place.connect_securely()
    endless.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n")
    send_until_ended(endless, b"a" * 65536)


def test_a_websocket_sends_nothing_before_it_is_accepted(place: Listening) -> None:
    with place.connect_securely() as made:
        made.sendall(
            HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b"403" in made.recv(65536)
    wait_for(lambda: len(place.connections) == 0, seconds=8, what="the place is free")


def test_a_stranger_who_waits_gives_way_to_somebody_new(place: Listening) -> None:
    idle = [place.connect() for _ in range(20)]
    assert b"200" in place.ask()
    assert place.dropped["displaced"] >= 14
    assert is_closed(idle[0])


def test_who_is_known_and_who_is_answered_keep_their_places(place: Listening) -> None:
    known, held = place.connect_securely(), place.connect_securely()
    known.sendall(b"GET /known HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200" in known.recv(65536)
    held.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for _ in range(20):
        place.connect()
    assert b"200" in held.recv(65536)
    known.sendall(HEAD + b"\r\n")
    assert b"200" in known.recv(65536)


def test_a_known_senders_body_is_waited_for_beside_a_crowd(place: Listening) -> None:
    KNOWN.clear()
    sender = place.connect_securely()
    sender.sendall(b"POST /known-read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1234")
    wait_for(KNOWN.is_set, seconds=5, what="the sender is known")
    for _ in range(20):
        place.connect()
    wait_for(lambda: place.dropped["displaced"] >= 14, seconds=5, what="the crowd has come")
    sender.sendall(b"56789")
    assert b"200" in sender.recv(65536)


def test_a_thousand_held_requests_are_answered() -> None:
    """With the limits that a gateway has, and a time to hold that is longer than the patience.

    All are sent before the first is accepted: the patience is with peers, and not with this test.
    """
    sent = threading.Event()
    with listening(application, most=3000, most_of_peer=2000) as made:
        made.pause(until=sent)
        held = [made.connect() for _ in range(1000)]
        for one in held:
            one.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        sent.set()
        assert all(b" 200 " in one.recv(65536) for one in held)
        assert not made.dropped


def test_where_nobody_gives_way_a_new_one_is_refused(place: Listening) -> None:
    for _ in range(6):
        made = place.connect_securely()
        made.sendall(b"GET /known HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in made.recv(65536)
    assert is_closed(place.connect())
    assert place.dropped["refused"] == 1


def test_one_address_never_has_all_places() -> None:
    connections = Connections(most=8, most_of_peer=100, patience=1, keep_alive=1)
    ours = [connections.admit("192.0.2.1", lambda: None) for _ in range(20)]
    for one in ours:
        assert one is not None
        connections.works(one)
    assert len(connections) == 6
    assert connections.admit("192.0.2.2", lambda: None) is not None


class Swept(Connections):
    """Connections that count their sweeps."""

    sweeps = 0

    def sweep(self, now: float) -> None:
        super().sweep(now)
        self.sweeps += 1


async def test_a_time_in_which_the_gateway_did_not_listen_is_not_counted() -> None:
    connections = Swept(most=8, most_of_peer=8, patience=0.6, keep_alive=1)
    async with running(connections.run()):
        await asyncio.sleep(0)
        assert connections.admit("192.0.2.1", lambda: None) is not None
        time.sleep(1)  # noqa: ASYNC251 - the event loop is busy for longer than the patience
        await until(lambda: connections.sweeps == 1)
        assert len(connections) == 1
        await until(lambda: connections.sweeps == 2)
        assert len(connections) == 0


def test_an_ipv6_network_is_one_peer() -> None:
    connections = Connections(most=100, most_of_peer=2, patience=1, keep_alive=1)
    for number in range(9):
        connections.admit(f"2001:db8::{number}", lambda: None)
    assert len(connections) == 2


@pytest.mark.parametrize(("descriptors", "most"), [(1024, 768), (256, 128), (100_000, 3000)])
def test_files_stay_for_the_gateways_own_needs(descriptors: int, most: int) -> None:
    assert within_descriptors(3000, descriptors) == most


@contextmanager
def no_more_files() -> Iterator[None]:
    """Have this process open every file that it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(one.name) for one in Path("/proc/self/fd").iterdir())
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_listener_goes_on_after_no_file_could_be_opened(place: Listening) -> None:
    made = [socket.socket() for _ in range(3)]
    with no_more_files():
        for one in made:
            one.connect(("127.0.0.1", place.port))
        time.sleep(0.5)
    for one in made:
        one.close()
    assert b"200" in place.ask()
