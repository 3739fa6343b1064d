"""Uvicorn's protocols, with limits on heads and with deadlines for peers."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request

from livius.adapters.listener.connections import Connection, Connections

LARGEST_HEAD: Final = 64 * 1024
MOST_HEADERS: Final = 100
_HEAD_TOO_LARGE: Final = (
    f"The head of the request has more than {LARGEST_HEAD // 1024} KiB or {MOST_HEADERS} headers. "
    "Send fewer or shorter headers."
)
_SLOWEST_PEER: Final = 16 * 1024
"""Bytes per second by which received bodies and waiting responses extend the deadline."""
_MOST_UNREAD: Final = 16 * 1024 * 1024
"""How much of an already answered body is read, so that the response arrives."""
_FAREWELL: Final = 1.0
"""Seconds for a refusal, or the close of a WebSocket, to be read by a peer that may be sending."""
_GRACE: Final = 5.0
"""Seconds in which uvicorn closes an idle connection in order, before it is ended."""


class _HeadTooLarge(Exception):
    """A request's head or the framing of its body exceeds the limits."""


def _read_until(transport: asyncio.Transport, patience: float) -> float:
    """Return the deadline by which a peer must have read the waiting bytes."""
    waiting = transport.get_write_buffer_size()
    return time.monotonic() + patience * 3 + waiting / _SLOWEST_PEER


class HttpProtocol(HttpToolsProtocol):
    """One connection that speaks HTTP."""

    def __init__(
        self,
        connection: Connection,
        connections: Connections,
        config: Config,
        server_state: ServerState,
    ) -> None:
        # The application finds it in the scope, and calls it once the caller is known.
        super().__init__(
            config,
            server_state,
            app_state={"note_known": partial(connections.note_known, connection)},
        )
        web_socket = config.ws_protocol_class
        if web_socket is None or not issubclass(web_socket, GuardedWebSocket):
            raise TypeError("a connection that upgrades keeps its place and its deadline")
        self.ws_protocol_class = partial(web_socket, connection, connections)  # type: ignore[assignment]
        self._connection = connection
        self._connections = connections
        self._upgraded = False
        self._too_large = False
        self._head_until: float | None = None
        self._head_size = 0
        self._body_began: float | None = None
        self._body_size = 0
        self._unread = 0
        self._since_step = 0
        self._idle_until = connection.deadline
        self._writable_until: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection over from the listener."""
        self._connection.abort = transport.abort
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the connection's place."""
        self._connections.lost(self._connection)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read within the limits.

        Many bytes without a step of the request can only be a head, a trailer or padding, and the
        parser copies its buffer with each piece of them.
        """
        self._since_step += len(data)
        super().data_received(data)
        if self._upgraded or self.transport.is_closing():
            return
        if self._since_step > LARGEST_HEAD and self._head_until is not None:
            self._too_large = True
            self.send_400_response(_HEAD_TOO_LARGE)
            return
        if self._body_began is not None:
            self._unread += 0 if self._is_answering() else len(data)
            if self._since_step > LARGEST_HEAD or self._unread > _MOST_UNREAD:
                self.transport.abort()
                return
        self._note_turn()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._head_until = time.monotonic() + self._connections.patience
        self._head_size = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. One of a trailer is no header of the request."""
        self._count(len(name) + len(value))
        if self._head_until is not None:
            super().on_header(name, value)
            if len(self.headers) > MOST_HEADERS:
                self._too_large = True
                raise _HeadTooLarge

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > LARGEST_HEAD:
            self._too_large = True
            raise _HeadTooLarge

    def on_headers_complete(self) -> None:
        """End the head and begin the body."""
        self._head_until = None
        self._body_began = time.monotonic()
        self._body_size = self._unread = self._since_step = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body_size += len(body)
        self._since_step = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._body_began = None
        self._since_step = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse an unreadable request, and close."""
        if self._is_answering():
            # The response to an earlier request is being sent: nothing may be put into it.
            self.transport.abort()
        elif self._too_large:
            self.transport.write(
                b"%scontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s"
                % (STATUS_LINE[431], len(_HEAD_TOO_LARGE), _HEAD_TOO_LARGE.encode("ascii"))
            )
            self.transport.close()
            self._connections.waits(self._connection, time.monotonic() + _FAREWELL)
        else:
            super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the protocol of WebSockets."""
        self._upgraded = True
        self._connections.works(self._connection)
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of one that has begun."""
        was_queued = bool(self.pipeline)
        super().on_response_complete()
        now = time.monotonic()
        self._idle_until = now + self._connections.keep_alive + _GRACE
        if was_queued and not self.pipeline:
            # Nothing was read since that request was queued: its peer's time begins again.
            if self._body_began is not None:
                self._body_began = now
            if self._head_until is not None:
                self._head_until = now + self._connections.patience
        self._note_turn()

    def pause_writing(self) -> None:
        """Wait for the peer to read."""
        super().pause_writing()
        self._writable_until = _read_until(self.transport, self._connections.patience)
        self._note_turn()

    def resume_writing(self) -> None:
        """Go on, as the peer has read."""
        super().resume_writing()
        self._writable_until = None
        self._note_turn()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _note_turn(self) -> None:
        """Set whether it is the peer's turn, and its deadline."""
        until = self._waits_until()
        if until is None:
            self._connections.works(self._connection)
        else:
            self._connections.waits(self._connection, until)

    def _waits_until(self) -> float | None:
        if self._writable_until is not None:
            return self._writable_until
        if self.pipeline:
            return None  # An earlier request is answered, and uvicorn doesn't read meanwhile.
        if self._body_began is not None:
            allowed = self._connections.patience + self._body_size / _SLOWEST_PEER
            return self._body_began + allowed
        if self._is_answering():
            return None
        return self._idle_until if self._head_until is None else self._head_until


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """One connection that speaks WebSocket. Nothing is read until the handshake was accepted."""

    def __init__(
        self, connection: Connection, connections: Connections, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._connection = connection
        self._connections = connections
        self._has_ended = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the connection's place."""
        self._connections.lost(self._connection)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the peer to read."""
        super().pause_writing()
        if not self._has_ended:
            until = _read_until(self.transport, self._connections.patience)
            self._connections.waits(self._connection, until)

    def resume_writing(self) -> None:
        """Go on, as the peer has read."""
        super().resume_writing()
        if not self._has_ended:
            self._connections.works(self._connection)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Let the peer read the last message and answer the close; then end the connection."""
        super().on_task_complete(task)
        self._has_ended = True
        self._connections.waits(self._connection, time.monotonic() + _FAREWELL)

    def handle_connect(self, event: Request) -> None:
        """Let the application decide first; it reads messages once it has accepted."""
        super().handle_connect(event)
        if not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()
