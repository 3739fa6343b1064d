"""A WebSocket protocol for agents: whole messages only, and no cheap floods.

A driver is hostile, and all share the event loop. uvicorn's protocol handles all frames of a read
at once; a read can have ten thousand small ones, such as pings and empty continuations, which the
application never sees. Here a read is parsed in pieces, each after the application has taken the
messages of the last one, and a peer that sends other frames is refused.
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

_PIECE: Final = 16 * 1024
"""Bytes that are parsed at once; they have fewer than three thousand frames."""

_MOST_CONTROL_FRAMES: Final = 100
"""The limit of pings and pongs in a link's life; an agent sends none, and neither do we."""


class LinkProtocol(WebSocketsSansIOProtocol):
    """Reads piece by piece, at the pace of the application."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unread = memoryview(b"")
        self._control_frames = 0

    def data_received(self, data: bytes) -> None:
        """Take the bytes of a read. Reading pauses while a part of them waits."""
        self._unread = memoryview(bytes(self._unread) + data) if self._unread else memoryview(data)
        self._parse()

    def _parse(self) -> None:
        while self._unread and not self.read_paused and not self.transport.is_closing():
            piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
            super().data_received(bytes(piece))
        if self.close_sent:
            self._unread = memoryview(b"")

    async def receive(self) -> Any:
        """Return the next event; a further piece is parsed once the last one was taken."""
        event = await self.queue.get()
        if event["type"] == "websocket.disconnect" and self.conn.close_rcvd_then_sent:
            # Only our own close codes are trusted to name a broken rule.
            event = {**event, "code": CloseCode.NORMAL_CLOSURE}
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self._parse()
            if not self.read_paused and not self.transport.is_closing():
                self.transport.resume_reading()
        return event

    def handle_cont(self, event: Frame) -> None:
        """Refuse messages in fragments: an agent sends none, and an empty one costs nothing."""
        del event
        self._refuse("a message in fragments")

    def handle_ping(self) -> None:
        """Respond to a ping, up to the limit."""
        self._count()
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Ignore a pong, up to the limit."""
        self._count()
        super().handle_pong(event)

    def _count(self) -> None:
        self._control_frames += 1
        if self._control_frames > _MOST_CONTROL_FRAMES:
            self._refuse("a flood of pings")

    def _refuse(self, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        if not self.handshake_complete:
            self.transport.abort()
            return
        self.conn.fail(CloseCode.POLICY_VIOLATION, reason)
        self.handle_parser_exception()
