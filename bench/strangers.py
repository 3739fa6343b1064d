"""Attacks of strangers: none has a token, or a name that the gateway knows."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from bench.attacked import LONGEST, Target


def nothing(target: Target) -> str:
    """No attack: what the bystander has of the machine itself."""
    del target
    time.sleep(3)
    return "no attack"


def idle_connections(target: Target) -> str:
    """1,200 connections that say nothing."""
    return _many(target, 1200, b"")


def idle_connections_over_tls(target: Target) -> str:
    """1,200 connections to the https port that begin no handshake."""
    return _many(target, 1200, b"", tls_port=True)


def half_heads(target: Target) -> str:
    """700 heads that are never ended."""
    said = _many(target, 700, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    while not target.is_over:
        time.sleep(0.5)
    still = sum(not _is_closed(one) for one in target.opened)
    return f"{said}; {still} are open after {LONGEST:.0f} s"


def half_bodies(target: Target) -> str:
    """700 forms for the token endpoint that never come."""
    head = (
        f"POST /{target.tenant}/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\na="
    )
    return _many(target, 700, head.encode())


def endless_header(target: Target) -> str:
    """One header of 100 MB."""
    target.send("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ", 1600)
    return "100 MB in one header"


def endless_headers(target: Target) -> str:
    """100 MB of small headers."""
    piece = b"X-One: 1\r\n" * 6000
    target.send("GET / HTTP/1.1\r\nHost: localhost\r\n", 1700, piece)
    return "10 million headers"


def endless_trailer(target: Target) -> str:
    """A trailer of 100 MB."""
    target.send(
        "POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        1600,
    )
    return "100 MB in one trailer"


def strangers_json(target: Target) -> str:
    """16 MB of JSON without a token, to a route that takes a body; four at once."""
    body = b'{"x":[' + b"1," * 8_000_000 + b"1]}"
    head = (
        f"POST {target.path}/sessions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    at_once(4, lambda: target.send(head, 1, body))
    return "4 bodies of 16 MB"


def deaf_readers(target: Target) -> str:
    """300 requests for the API's document, whose answers nobody reads."""
    with contextlib.suppress(OSError):
        for _ in range(300):
            if target.is_over:
                break
            made = target.connect(tls=True)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            made.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return f"{len(target.opened)} answers that nobody reads"


def websocket_frames(target: Target) -> str:
    """A WebSocket without a secret, and 60 MB of a frame behind its handshake."""
    head = (
        "GET /driver/v1/attach HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    at_once(8, lambda: target.send(head, 900))
    return "8 handshakes with 60 MB behind each"


def foreign_host(target: Target) -> str:
    """A page of another name that leads here (DNS rebinding) asks for what needs no token."""
    with target.connect() as made:
        made.sendall(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        return f"answered {made.recv(100).split(b' ')[1].decode()}"


def _many(target: Target, count: int, sent: bytes, *, tls_port: bool = False) -> str:
    port = target.https if tls_port else target.http
    for _ in range(count):
        if target.is_over:
            break
        with contextlib.suppress(OSError):
            made = socket.create_connection(("127.0.0.1", port), timeout=2)
            target.opened.append(made)
            made.sendall(sent)
    return f"{len(target.opened)} connections"


def at_once(count: int, work: Callable[[], None]) -> None:
    """Do the work in so many threads, to its end."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _is_closed(made: socket.socket) -> bool:
    made.settimeout(0)
    try:
        return made.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
