"""A driver that dies closes no link: the socket just breaks."""

from collections.abc import MutableMapping
from typing import Any

from starlette.websockets import WebSocket

from livius.api.driver.routes import _close


async def test_a_link_that_broke_is_closed_without_an_error() -> None:
    """uvicorn refuses to send on a broken connection, also the close."""

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.close":
            raise OSError("the peer is gone")

    socket = WebSocket({"type": "websocket", "headers": []}, receive, send)
    await socket.accept()
    await _close(socket, 1001)
