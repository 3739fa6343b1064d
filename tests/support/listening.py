"""A listener of ours over an application, on real sockets, in a thread with the gateway's loop."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import uvloop

from livius.adapters.listener import Connections
from livius.bootstrap.listeners import listener
from livius.installation.certificates import Certificates
from support.waiting import wait_for


@dataclass
class Listening:
    """A listener that serves. ``dropped`` counts why it ended connections."""

    port: int
    connections: Connections
    dropped: Counter[str]
    loop: asyncio.AbstractEventLoop
    certificates: Certificates | None = None
    sockets: list[socket.socket] = field(default_factory=list)

    def pause(self, until: threading.Event) -> None:
        """Accept and read nothing until something has happened."""
        self.loop.call_soon_threadsafe(until.wait, 30)

    def connect(self) -> socket.socket:
        """A connection of which nothing was sent yet; it ends with the test."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        self.sockets.append(made)
        return made

    def connect_securely(self) -> socket.socket:
        """One with its handshake, where the listener speaks https."""
        if self.certificates is None:
            return self.connect()
        context = ssl.create_default_context(cafile=str(self.certificates.ca_file))
        made = context.wrap_socket(self.connect(), server_hostname="localhost")
        self.sockets.append(made)
        return made

    def ask(self, head: bytes = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") -> bytes:
        """The beginning of the answer to a request of its own."""
        with contextlib.closing(self.connect_securely()) as made:
            made.sendall(head)
            return made.recv(65536)


def is_closed(made: socket.socket) -> bool:
    """Whether the other side has ended a connection; waits for it, or for more bytes of it."""
    try:
        return made.recv(65536) == b""
    except ConnectionError:
        return True


@contextlib.contextmanager
def listening(
    app: Any, *, certificates: Certificates | None = None, **limits: Any
) -> Iterator[Listening]:
    """Serve until the block ends."""
    dropped: Counter[str] = Counter()

    def note(reason: str) -> None:
        dropped[reason] += 1

    given = {"most": 100, "most_of_peer": 100, "patience": 1.0, "keep_alive": 60, **limits}
    connections = Connections(**given, dropped=note)
    server = listener(app, "127.0.0.1", 0, certificates, connections)

    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with asyncio.TaskGroup() as group:
            sweeping = group.create_task(connections.run())
            await server.serve()
            sweeping.cancel()

    def work() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_for(lambda: server.started, seconds=10, what="the listener serves")
        made = Listening(server.ports[0], connections, dropped, loops[0], certificates)
        yield made
    finally:
        for one in made.sockets:
            one.close()
        wait_for(lambda: len(connections) == 0, seconds=10, what="all connections have ended")
        server.should_exit = True
        thread.join(10)
    assert not thread.is_alive()
