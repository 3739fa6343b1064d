"""A listener: it accepts connections within the limits, and uvicorn serves them.

Uvicorn's own accept loop ends when no file can be opened, and doesn't see a connection before the
end of its TLS handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import structlog
import uvicorn

from livius.adapters.listener.connections import Connection, Connections
from livius.adapters.listener.protocols import HttpProtocol

_BACKLOG: Final = 2048
_AGAIN_AFTER: Final = 0.1
_GOODBYE_WITHIN: Final = 5.0
_TELL_EVERY: Final = 10.0

_log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the gateway."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections
        self._listening: Sequence[socket.socket] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._told_at = float("-inf")

    @property
    def ports(self) -> Sequence[int]:
        """Return the ports."""
        return [one.getsockname()[1] for one in self._listening]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen.

        Raises:
            OSError: the port is taken, or the address is none of this machine's.
        """
        del sockets
        self._listening = _listen(self.config.host, self.config.port)
        self.servers = []  # those that uvicorn would close
        self.started = True

    async def main_loop(self) -> None:
        """Accept until the gateway ends."""
        async with asyncio.TaskGroup() as group:
            for one in self._listening:
                self._tasks.add(group.create_task(self._accept_all(one, group), name="accept"))
            await super().main_loop()
            for task in self._tasks:
                task.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and let open requests finish."""
        for one in self._listening:
            one.close()
        await super().shutdown(sockets)

    async def _accept_all(self, listening: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:
                # No file can be opened now, or the peer has left already.
                self._tell("connection_not_accepted", reason=str(error))
                self._connections.make_room()
                await asyncio.sleep(_AGAIN_AFTER)
                continue
            connection = self._connections.admit(address[0], accepted.close)
            if connection is None:
                accepted.close()
                self._tell("connections_at_the_limit", open=len(self._connections))
                continue
            task = group.create_task(self._serve_one(accepted, connection), name="handshake")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            connection.abort = task.cancel

    async def _serve_one(self, accepted: socket.socket, connection: Connection) -> None:
        """Shake hands; from then on the connection is uvicorn's."""
        loop = asyncio.get_running_loop()
        protocol = partial(
            HttpProtocol, connection, self._connections, self.config, self.server_state
        )
        limits = (
            {
                "ssl_handshake_timeout": self._connections.patience,
                "ssl_shutdown_timeout": _GOODBYE_WITHIN,
            }
            if self.config.ssl
            else {}
        )
        try:
            await loop.connect_accepted_socket(protocol, accepted, ssl=self.config.ssl, **limits)
        except OSError:
            self._forget(accepted, connection)  # The handshake failed, or took too long.
        except asyncio.CancelledError:
            self._forget(accepted, connection)
            raise
        except Exception:  # noqa: BLE001 - one connection's fault must not end the listener
            _log.exception("connection_failed", address=connection.peer)
            self._forget(accepted, connection)

    def _forget(self, accepted: socket.socket, connection: Connection) -> None:
        self._connections.lost(connection)
        accepted.close()

    def _tell(self, event: str, **facts: object) -> None:
        """Log it at intervals: a flood must not fill the log."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= _TELL_EVERY:
            self._told_at = now
            _log.warning(event, **facts)


def _listen(host: str, port: int) -> Sequence[socket.socket]:
    """Return a listening socket for each address of the host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listening: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((family, address) for family, *_, address in found):
            one = socket.create_server(address, family=family, backlog=_BACKLOG)
            one.settimeout(0)
            listening.append(one)
    except OSError:
        for one in listening:
            one.close()
        raise
    return listening
