"""The agents' WebSocket: authenticate the driver, then pass frames to the use cases.

Frames of one link are handled one after the other, so a driver's messages take effect in the order
in which it sent them. No driver may starve others: a link has a rate limit, its queues are bounded,
and large frames are parsed in a thread. A driver that breaks a rule loses its session.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from livius.api.driver.outbox import Outbox
from livius.api.middleware import note_known
from livius.domain.driver import Driver
from livius.domain.errors import LiviusError, Unauthenticated, Unavailable
from livius.domain.pace import Pace
from livius.usecases import driver_link, driver_requests, drivers
from livius.usecases.context import Context
from livius.usecases.driver_link import Attached, SessionLost, frame_refused, rule_broken
from livius.usecases.drivers import LinkMemory
from livius_agent.wire import (
    MAX_FRAME_BYTES,
    PROTOCOL,
    AgentRequest,
    Beat,
    Finished,
    FromAgent,
    Output,
    Run,
    WireError,
    decode_agent,
    encode,
)

_CLOSE_WITHIN: Final = 1.0
_SILENT_BEATS: Final = 3.0
_GOING_AWAY: Final = 1001
_POLICY: Final = 1008
_TOO_LARGE: Final = 1009
_TRY_AGAIN: Final = 1013
_BROKEN: Final = {
    1002: "it sent what is no WebSocket frame",
    1003: "it sent what is no WebSocket frame",
    1007: "it sent text that is not UTF-8",
    _POLICY: "it sent frames that say nothing",
    _TOO_LARGE: f"it sent a message of more than {MAX_FRAME_BYTES} bytes",
}
"""The fault of a link that we closed with one of these codes."""

_ASKS_AT_ONCE: Final = 8
_SMALL: Final = 64 * 1024
"""The largest frame, in bytes, that the event loop parses or writes."""

_PACE: Final = 1000.0
_AT_ONCE: Final = 4000.0
"""The rate limit of a link, per second and at once; see `_cost`. An honest one is far below."""

_OF_RECORDS: Final = 10
_BYTES_OF_RECORDS: Final = 4096

_log = structlog.get_logger(__name__)


def router(context: Context) -> APIRouter:
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
        note_known(socket.scope)
        await socket.accept()
        if not context.links.admits(driver.id):
            await _close(socket, _TRY_AGAIN)
            return
        try:
            await _serve(context, socket, driver)
        except* Unavailable as group:
            # Our fault, not the driver's: it has to dial again.
            _log.error("link_lost", driver=driver.id, reasons=[str(e) for e in group.exceptions])
            await _close(socket, _TRY_AGAIN)
        except* SessionLost as group:
            await driver_link.refuse(context, driver, _first(group))
            await _close(socket, _POLICY)
        except* LiviusError as group:
            _log.warning("link_refused", driver=driver.id, reason=str(group.exceptions[0]))
            await _close(socket, _POLICY)
        except* (WebSocketDisconnect, TimeoutError):
            await _close(socket, _GOING_AWAY)

    return routes


def _first(group: BaseExceptionGroup[SessionLost]) -> SessionLost:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _authenticate(context: Context, socket: WebSocket) -> Driver:
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    driver, _, secret = token.partition(".")
    if scheme.lower() != "bearer" or not secret:
        raise Unauthenticated("DriverUnknown", "No driver of this gateway has this secret.")
    return await driver_link.authenticate_driver(context, driver, secret)


async def _serve(context: Context, socket: WebSocket, driver: Driver) -> None:
    """Run one link until it ends, from either side."""
    outbox = Outbox()

    async def receive() -> FromAgent:
        message, _ = await _receive(socket, PROTOCOL)
        return message

    async with (
        driver_link.attached(context, driver, outbox, receive) as attached,
        asyncio.TaskGroup() as group,
    ):
        tasks = (
            group.create_task(_send_all(socket, outbox)),
            group.create_task(_watch_overflow(outbox)),
            group.create_task(_watch_close(outbox)),
        )
        try:
            await _receive_all(context, socket, attached, group)
        finally:
            for task in tasks:
                task.cancel()


async def _send_all(socket: WebSocket, outbox: Outbox) -> None:
    while True:
        message = await outbox.next()
        is_large = isinstance(message, Run) and len(message.code) > _SMALL
        frame = await asyncio.to_thread(encode, message) if is_large else encode(message)
        try:
            await socket.send_bytes(frame)
        except WebSocketDisconnect:
            # Its last messages, such as the reason of its end, are still to be read.
            return


async def _watch_overflow(outbox: Outbox) -> None:
    await outbox.overflowed.wait()
    raise rule_broken("it sends and does not read")


async def _watch_close(outbox: Outbox) -> None:
    await outbox.closed.wait()
    raise WebSocketDisconnect(_GOING_AWAY)


async def _receive_all(
    context: Context, socket: WebSocket, attached: Attached, group: asyncio.TaskGroup
) -> None:
    session = attached.session
    asks: set[asyncio.Task[None]] = set()
    memory = LinkMemory()
    pace, loop = Pace(rate=_PACE, burst=_AT_ONCE), asyncio.get_running_loop()
    silence = context.rules.beat.total_seconds() * _SILENT_BEATS
    while True:
        async with asyncio.timeout(silence):
            message, size = await _receive(socket, attached.protocol)
        context.links.heard(attached.driver)
        # Reading stops, so that only this driver has to wait.
        if pause := pace.spend(_cost(message, size), now=loop.time()):
            await asyncio.sleep(pause)
        if session is None:  # unless it has been claimed meanwhile
            session = await driver_link.session_of(context, attached.driver)
        if session is None:
            await drivers.report_pooled(context, attached.driver, message)
        elif isinstance(message, AgentRequest):
            # A response may take time, and the driver's other messages must not wait for it.
            if len(asks) >= _ASKS_AT_ONCE:
                await asyncio.wait(asks, return_when=asyncio.FIRST_COMPLETED)
            task = group.create_task(driver_requests.answer(context, session, message), name="ask")
            asks.add(task)
            task.add_done_callback(asks.discard)
        else:
            await drivers.report(context, session, message, memory)


def _cost(message: FromAgent, size: int) -> float:
    """Return the cost of a message for all: mostly its writes to the store."""
    if isinstance(message, Output) or (isinstance(message, Beat) and not message.busy):
        return 1
    if isinstance(message, Finished):
        return 1 + size / _BYTES_OF_RECORDS
    return _OF_RECORDS + size / _BYTES_OF_RECORDS


async def _receive(socket: WebSocket, protocol: int) -> tuple[FromAgent, int]:
    """Return the next message, and the size of its frame."""
    # Not `receive_bytes`: that refuses once a send has failed, and earlier messages would be lost.
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        if (rule := _BROKEN.get(event["code"])) is not None:
            raise frame_refused(rule, protocol)
        raise WebSocketDisconnect(event["code"])
    frame: str | bytes = event.get("bytes") or event.get("text") or b""
    try:
        if len(frame) > _SMALL:
            return await asyncio.to_thread(decode_agent, frame), len(frame)
        return decode_agent(frame), len(frame)
    except WireError as error:
        raise frame_refused(f"it sent what is no message ({error})", protocol) from error


async def _close(socket: WebSocket, code: int) -> None:
    # It may be closed already, or broken: a dead driver closes nothing. We don't wait for a driver
    # that doesn't read; the listener ends its connection soon after the route has ended.
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(_CLOSE_WITHIN):
            await socket.close(code)
