"""WebSockets as agents speak them: whole messages, and nothing that costs without saying anything.

A driver is hostile, and the event loop is everybody's. uvicorn's protocol handles all frames of
what it has read at once; a read holds ten thousand small ones, pings and empty continuations among
them, of which the application never hears. Here a read is parsed in pieces, the next one when the
application has taken the messages of the last, and a peer that sends other frames is refused.
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

_PIECE: Final = 16 * 1024
"""Bytes that are parsed at once; they hold fewer than three thousand frames."""

_MOST_CONTROL_FRAMES: Final = 100
"""In all of a link's life; an agent sends none, and we ping nobody."""


class LinkProtocol(WebSocketsSansIOProtocol):
    """Reads piece by piece, at the pace of the application."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unread = memoryview(b"")
        self._control_frames = 0

    def data_received(self, data: bytes) -> None:
        """Take what was read. Reading pauses as long as a part of it waits."""
        self._unread = memoryview(bytes(self._unread) + data) if self._unread else memoryview(data)
        self._parse()

    def _parse(self) -> None:
        while self._unread and not self.read_paused and not self.transport.is_closing():
            piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
            super().data_received(bytes(piece))
        if self.close_sent:
            self._unread = memoryview(b"")

    async def receive(self) -> Any:
        """Return the next event; what waits is parsed once all of the last piece were taken."""
        event = await self.queue.get()
        if event["type"] == "websocket.disconnect" and self.conn.close_rcvd_then_sent:
            # Of the codes that say which rule was broken only our own are to be believed.
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
        """Answer, within reason."""
        self._count()
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Ignore it, within reason."""
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
