"""The link to the gateway: dialled, lost, dialled again; what is sent is what the ledger says.

One task sends, in this order: a statement's output before its end, then what else there is to say.
A gateway that acknowledges slowly slows the sending down (`livius_agent.ledger.WINDOW`), never the
statement.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import websockets

from livius_agent import fitting
from livius_agent.ledger import Entry, Ledger
from livius_agent.process import listeners
from livius_agent.wire import (
    MAX_GATEWAY_FRAME_BYTES,
    PROTOCOL,
    Ack,
    Answer,
    Beat,
    Bind,
    Cancel,
    CloseRepl,
    Complete,
    FromAgent,
    Heap,
    Hello,
    OpenRepl,
    Ready,
    Run,
    Warmed,
    Welcome,
    WireError,
    decode_gateway,
    encode,
    type_of,
)

ToAgent: TypeAlias = Bind | OpenRepl | CloseRepl | Run | Cancel | Complete | Answer
"""What a gateway sends that is not about output."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_REFUSALS: Final = 3
_POLICY: Final = 1008
_ANSWER_WITHIN: Final = 10.0
_FIRST: Final = 0.001
"""How long a statement's first output waits: most end right after it, and it goes with the end."""

_GATHER: Final = 0.005
"""How long small pieces of output are gathered before the next frame. The end ends the wait."""


class Unwanted(Exception):
    """The gateway knows this driver no longer, or none was found for the lease time."""


class Link:
    """The one link of an agent. ``on_message`` takes what is not about output."""

    def __init__(
        self,
        *,
        driver: str,
        secret: str,
        address_file: Path,
        lease_seconds: float,
        ledger: Ledger,
        on_message: Callable[[ToAgent], Awaitable[None]],
    ) -> None:
        self._driver = driver
        self._authorization = f"Bearer {driver}.{secret}"
        self._address_file = address_file
        self._lease_seconds = lease_seconds
        self._ledger = ledger
        self._on_message = on_message
        self._outbox: deque[FromAgent] = deque()
        self._news = asyncio.Event()
        self._end = asyncio.Event()
        self._delivered = asyncio.Event()
        self._state: Warmed | Ready | None = None
        self._beat_seconds = 1.0
        self.busy: Callable[[], bool] = lambda: False
        self.heap: Callable[[], Heap | None] = lambda: None
        self.unanswered: Callable[[], Iterable[FromAgent]] = tuple

    def changed(self) -> None:
        """An entry of the ledger has something to send."""
        self._news.set()
        if any(_is_unsaid(entry) for entry in self._ledger):
            self._end.set()

    def say(self, message: FromAgent) -> None:
        """Send a message on this link or the next one."""
        self._delivered.clear()
        self._outbox.append(message)
        self._news.set()

    def warmed(self) -> None:
        """Say that the driver waits for a session, now and after each redial."""
        self._state = Warmed()
        self.say(self._state)

    def ready(self, message: Ready) -> None:
        """Say that Spark runs for its session, now and after each redial."""
        self._state = fitting.ready(message)
        self.say(self._state)

    async def delivered(self, seconds: float) -> None:
        """Wait until all messages have been sent, or for the seconds."""
        await _within(seconds, self._delivered)

    async def run(self) -> None:
        """Keep a link until it is unwanted.

        Raises:
            Unwanted: nobody is left to work for.
        """
        loop = asyncio.get_running_loop()
        pause, refused, lost_at = _FIRST_PAUSE, 0, loop.time()
        while True:
            dialled_at = loop.time()
            try:
                await self._converse()
                refused, lost_at = 0, loop.time()
                if lost_at - dialled_at > _LONGEST_PAUSE:  # else it takes us, but not what we say
                    pause = _FIRST_PAUSE
            except _Refused:
                refused += 1
                if refused >= _REFUSALS:
                    raise Unwanted("The gateway does not want this driver.") from None
            except (OSError, ValueError, TimeoutError, websockets.WebSocketException):
                pass  # Not there, not yet, or gone in the middle: dial again.
            if loop.time() - lost_at > self._lease_seconds:
                raise Unwanted(f"No gateway was found for {self._lease_seconds:.0f} seconds.")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _converse(self) -> None:
        """Dial and talk until the link ends; returns only after a welcome."""
        url = json.loads(self._address_file.read_text(encoding="utf-8"))["url"]
        # While the gateway is away anybody may take its port, and would get our secret.
        if listeners(urlsplit(url).port or 0) - {self._address_file.stat().st_uid}:
            raise ConnectionRefusedError("Somebody else listens at the gateway's port.")
        try:
            socket = await websockets.connect(
                url,
                additional_headers={"Authorization": self._authorization},
                compression=None,
                max_size=MAX_GATEWAY_FRAME_BYTES,
                open_timeout=_ANSWER_WITHIN,
                ping_interval=None,
                proxy=None,
            )
        except websockets.InvalidStatus as error:
            if error.response.status_code in (401, 403, 404, 410):
                raise _Refused from error
            raise
        async with socket:
            await self._greet(socket)
            sending = asyncio.get_running_loop().create_task(self._send_all(socket))
            try:
                await self._receive_all(socket)
            except (websockets.WebSocketException, WireError):
                pass  # It was a link: it has been welcomed. Dial again.
            finally:
                sending.cancel()
                await asyncio.wait((sending,))

    async def _greet(self, socket: websockets.ClientConnection) -> None:
        hello = Hello(
            protocol=PROTOCOL,
            driver=self._driver,
            agent="1",
            last=dict(self._ledger.last),
            ledger=self._ledger.summary(),
        )
        await socket.send(encode(hello))
        async with asyncio.timeout(_ANSWER_WITHIN):
            try:
                welcome = decode_gateway(await socket.recv())
            except websockets.ConnectionClosed as closed:
                if closed.rcvd is None or closed.rcvd.code != _POLICY:
                    raise  # The link was lost, or the gateway is busy or going away.
                # It was let in and then refused: the record is not what we think.
                raise _Refused from closed
        if not isinstance(welcome, Welcome):
            raise WireError("a gateway answers hello with welcome")
        self._beat_seconds = welcome.beat_seconds
        durable = {(one.repl, one.number): one for one in welcome.durable}
        for entry in self._ledger:
            if (held := durable.get(entry.key)) is not None:
                entry.rewind(held.offset, held.data)
            elif entry.finished is not None and entry.finished.stop:
                # Its end is stored; the gateway may have been killed before it stopped anything.
                entry.rewind(entry.size, entry.data.size)
            else:
                self._ledger.forget(entry)
        if self._state is not None and self._state not in self._outbox:
            self._outbox.appendleft(self._state)  # what else is left presupposes it
        self._outbox.extend(one for one in self.unanswered() if one not in self._outbox)
        self._news.set()

    async def _receive_all(self, socket: websockets.ClientConnection) -> None:
        async for frame in socket:
            message = decode_gateway(frame)
            match message:
                case Bind() | OpenRepl() | CloseRepl() | Run() | Cancel() | Complete() | Answer():
                    await self._on_message(message)
                case Ack():
                    self._acknowledged(message)
                case _:
                    raise WireError(f"a gateway does not send {type_of(message)} here")

    def _acknowledged(self, ack: Ack) -> None:
        entry = self._ledger.get(ack.repl, ack.number)
        if entry is None:
            return
        entry.acknowledge(ack.offset, ack.stream)
        if ack.finished:
            self._ledger.forget(entry)
        self._news.set()

    async def _send_all(self, socket: websockets.ClientConnection) -> None:
        while True:
            self._news.clear()
            self._end.clear()
            if any(one.size and not one.text.sent and not one.finished for one in self._ledger):
                await _within(_FIRST, self._end)
            if await self._send_news(socket):
                await _within(_GATHER, self._end)
                continue
            self._delivered.set()
            if not await _within(self._beat_seconds, self._news):
                await socket.send(encode(Beat(busy=self.busy(), heap=self.heap())))

    async def _send_news(self, socket: websockets.ClientConnection) -> bool:
        """Send pending messages; return whether output was sent that may continue."""
        more = False
        while self._outbox:
            await socket.send(encode(self._outbox[0]))
            self._outbox.popleft()
        for entry in self._ledger:
            while (end := entry.next_end()) is None and (piece := entry.next_output()) is not None:
                await socket.send(encode(piece))
                more = entry.finished is None
            if end is not None:
                await socket.send(encode(end))
        return more


def _is_unsaid(entry: Entry) -> bool:
    """Tell whether a statement has ended and the gateway has no report of it."""
    return entry.finished is not None and not entry.finished_sent


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event; tell whether it came in time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


class _Refused(Exception):
    """The gateway does not take the link."""
