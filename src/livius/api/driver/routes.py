"""The agents' WebSocket: prove the driver, welcome it, then pass frames to the use cases.

Frames of one link are handled one after the other, so a driver's messages take effect in the
order in which it sent them.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from livius.domain.driver import Driver
from livius.domain.errors import LiviusError, Unauthenticated, Unavailable
from livius.domain.ids import DriverId
from livius.domain.session import Session
from livius.usecases import drivers, inside
from livius.usecases.context import Context
from livius_agent.wire import (
    Ack,
    Answer,
    Ask,
    Cancel,
    FromGateway,
    Hello,
    Message,
    Run,
    Welcome,
    WireError,
    decode,
    encode,
)

_HELLO_WITHIN: Final = 10.0
_SILENT_BEATS: Final = 3.0
_GOING_AWAY: Final = 1001
_POLICY: Final = 1008
_TRY_AGAIN: Final = 1013
_FROM_GATEWAY: Final = (Welcome, Run, Cancel, Ack, Answer)
_ASKS_AT_ONCE: Final = 8

_log = structlog.get_logger(__name__)


class LinkRegister(Protocol):
    """The part of the link table that takes sockets."""

    def add(
        self,
        driver: DriverId,
        send: _Send,
        close: _Close,
    ) -> object:
        """Take a new link and return its token."""
        ...

    def opened(self, driver: DriverId, token: object) -> None:
        """Let messages be sent on it."""
        ...

    def heard(self, driver: DriverId) -> None:
        """Note a sign of life."""
        ...

    def drop(self, driver: DriverId, token: object) -> None:
        """Forget a link that ended."""
        ...


class _Send(Protocol):
    def __call__(self, message: FromGateway, /) -> None: ...


class _Close(Protocol):
    def __call__(self) -> None: ...


def router(context: Context, links: LinkRegister) -> APIRouter:
    """Return the route over one core."""
    routes = APIRouter(prefix="/driver/v1")

    @routes.websocket("/attach")
    async def attach(socket: WebSocket) -> None:
        try:
            driver = await _authenticate(context, socket)
        except Unauthenticated:
            # Before the upgrade is accepted: the agent sees a plain 403 and gives up.
            await socket.close(_POLICY)
            return
        await socket.accept()
        try:
            await _serve(context, links, socket, driver)
        except* Unavailable as group:
            # Our trouble, not the driver's: it is to come again.
            _log.error("link_lost", driver=driver.id, reasons=[str(e) for e in group.exceptions])
            await _close(socket, _TRY_AGAIN)
        except* (LiviusError, WireError) as group:
            for error in group.exceptions:
                _log.warning("link_refused", driver=driver.id, reason=str(error))
            await _close(socket, _POLICY)
        except* (WebSocketDisconnect, TimeoutError):
            await _close(socket, _GOING_AWAY)

    return routes


async def _authenticate(context: Context, socket: WebSocket) -> Driver:
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    driver, _, secret = token.partition(".")
    if scheme.lower() != "bearer" or not secret:
        raise Unauthenticated("DriverUnknown", "No driver of this gateway has this secret.")
    return await drivers.authenticate_driver(context, driver, secret)


async def _serve(context: Context, links: LinkRegister, socket: WebSocket, driver: Driver) -> None:
    """Run one link until it ends, from either side."""
    outgoing: asyncio.Queue[FromGateway | None] = asyncio.Queue()
    token = links.add(driver.id, outgoing.put_nowait, lambda: outgoing.put_nowait(None))
    try:
        async with asyncio.timeout(_HELLO_WITHIN):
            hello = await _receive(socket)
        if not isinstance(hello, Hello):
            raise WireError("a link begins with hello")
        attached = await drivers.attach_driver(context, driver, hello)
        links.heard(driver.id)
        await socket.send_text(encode(attached.welcome))
        links.opened(driver.id, token)
        await drivers.resume(context, attached)
        async with asyncio.TaskGroup() as group:
            sender = group.create_task(_send_all(socket, outgoing))
            try:
                await _receive_all(context, links, socket, attached.session, group)
            finally:
                sender.cancel()
    finally:
        links.drop(driver.id, token)
        # Whether the driver ended too is for the reconciler to find out.
        context.wake(driver.session)


async def _send_all(socket: WebSocket, outgoing: asyncio.Queue[FromGateway | None]) -> None:
    """Send what is queued; None is the order to close."""
    while (message := await outgoing.get()) is not None:
        try:
            await socket.send_text(encode(message))
        except WebSocketDisconnect:
            # What it said last, why it ends for one, is still to be read.
            return
    await _close(socket, _GOING_AWAY)
    raise WebSocketDisconnect(_GOING_AWAY)


async def _receive_all(
    context: Context,
    links: LinkRegister,
    socket: WebSocket,
    session: Session,
    group: asyncio.TaskGroup,
) -> None:
    asks: set[asyncio.Task[None]] = set()
    silence = context.rules.beat.total_seconds() * _SILENT_BEATS
    while True:
        async with asyncio.timeout(silence):
            message = await _receive(socket)
        links.heard(session.driver)
        if isinstance(message, _FROM_GATEWAY):
            raise WireError(f"an agent does not send {message.type}")
        if isinstance(message, Ask):
            # An answer may take time, and the driver's other messages must not wait for it.
            if len(asks) >= _ASKS_AT_ONCE:
                await asyncio.wait(asks, return_when=asyncio.FIRST_COMPLETED)
            task = group.create_task(inside.answer(context, session, message), name="ask")
            asks.add(task)
            task.add_done_callback(asks.discard)
        else:
            await drivers.report(context, session, message)


async def _receive(socket: WebSocket) -> Message:
    # Not `receive_text`: that refuses once a send has failed, and what came before is lost.
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event["code"])
    return decode(event.get("text") or event.get("bytes") or b"")


async def _close(socket: WebSocket, code: int) -> None:
    try:
        await socket.close(code)
    except RuntimeError:
        return  # It was closed already.
