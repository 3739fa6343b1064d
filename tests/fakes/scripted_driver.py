"""A driver without Spark: the agent's ledger and link, over wires whose frames a test moves."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

import websockets
from starlette.websockets import WebSocketDisconnect
from websockets.frames import Close

from livius.domain.ids import DriverId
from livius.ports.launcher import LaunchSpec
from livius_agent.ledger import Entry, Key, Ledger
from livius_agent.link import Link, ToAgent, _Refused
from livius_agent.wire import (
    Bind,
    Cancel,
    CloseRepl,
    Finished,
    Hello,
    OpenRepl,
    Ready,
    ReplClosed,
    ReplReady,
    Run,
    Welcome,
    decode_agent,
    decode_gateway,
)

Outcome = Literal["ok", "error", "cancelled"]
_BROKEN: Final = 1006
_LIMIT: Final = 1024 * 1024


class Wire:
    """One WebSocket. Frames keep their order; those under way are lost when it breaks.

    Its gateway's end is a Starlette WebSocket as far as the route uses one, and its agent's end a
    connection of `websockets`. What one end sends is under way until the test lets it arrive.
    """

    def __init__(self, driver: DriverId, secret: str) -> None:
        self.headers = {"authorization": f"Bearer {driver}.{secret}"}
        self.scope: dict[str, Any] = {}
        self.driver = driver
        self.is_accepted = False
        self.is_open_for_agent = True
        self.is_open_for_gateway = True
        self.to_gateway: deque[bytes | int] = deque()
        self.to_agent: deque[bytes | int] = deque()
        self._at_gateway: asyncio.Queue[bytes | int] = asyncio.Queue()
        self._at_agent: asyncio.Queue[bytes | int] = asyncio.Queue()

    # The gateway's end.

    async def accept(self) -> None:
        self.is_accepted = True

    async def receive(self) -> dict[str, Any]:
        frame = await self._at_gateway.get()
        if isinstance(frame, int):
            return {"type": "websocket.disconnect", "code": frame}
        return {"type": "websocket.receive", "bytes": frame}

    async def send_bytes(self, frame: bytes) -> None:
        if not self.is_open_for_gateway:
            raise WebSocketDisconnect(_BROKEN)
        if self.is_open_for_agent:
            self.to_agent.append(frame)

    async def close(self, code: int) -> None:
        if self.is_open_for_gateway:
            self.is_open_for_gateway = False
            self.to_agent.append(code)

    # The agent's end.

    async def send(self, frame: bytes) -> None:
        if not self.is_open_for_agent:
            raise websockets.ConnectionClosedError(None, None)
        self.to_gateway.append(frame)

    async def recv(self) -> bytes:
        frame = await self._at_agent.get()
        if isinstance(frame, int):
            self.is_open_for_agent = False
            received = None if frame == _BROKEN else Close(frame, "")
            raise websockets.ConnectionClosedError(received, None)
        return frame

    def __aiter__(self) -> "Wire":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except websockets.ConnectionClosed:
            raise StopAsyncIteration from None

    # The test's.

    def leave(self) -> None:
        """The agent's end is gone. What it sent may still arrive."""
        if self.is_open_for_agent:
            self.is_open_for_agent = False
            self.to_gateway.append(_BROKEN)
            self.to_agent.clear()
            self._at_agent.put_nowait(_BROKEN)

    def move(self, *, up: bool, most: int, twice: bool = False) -> bool:
        """Let frames arrive, at the gateway or at the agent; the first one twice, if that is so."""
        under_way = self.to_gateway if up else self.to_agent
        at = self._at_gateway if up else self._at_agent
        moved = False
        while under_way and most > 0:
            frame = under_way.popleft()
            at.put_nowait(frame)
            if twice and isinstance(frame, bytes) and _may_be_repeated(frame, up=up):
                at.put_nowait(frame)
            moved, most, twice = True, most - 1, False
        return moved


def _may_be_repeated(frame: bytes, *, up: bool) -> bool:
    message = decode_agent(frame) if up else decode_gateway(frame)
    return not isinstance(message, Hello | Welcome)


@dataclass
class _Worker:
    """The statements of an open repl; the first one runs."""

    queue: deque[Entry] = field(default_factory=deque)
    cancelled: set[Key] = field(default_factory=set)
    is_stopping: bool = False


class ScriptedDriver:
    """What `livius_agent.agent` does, one step at a time. ``began`` is called with each statement
    that begins to run."""

    def __init__(
        self, spec: LaunchSpec, folder: Path, began: Callable[["ScriptedDriver", Run], None]
    ) -> None:
        self.id = spec.driver
        self.spec = spec
        self.bound: Bind | None = None
        self.is_served = False
        self.printed: dict[Key, str] = {}
        self.wire: Wire | None = None
        self.refused = 0
        self._is_up = False
        self._began = began
        self._workers: dict[str, _Worker] = {}
        self._closing: dict[str, _Worker] = {}
        self._closed: set[str] = set()
        self._waiting: dict[str, list[Entry]] = {}
        self._wishes: deque[OpenRepl | CloseRepl] = deque()
        self._talking: asyncio.Task[None] | None = None
        self._is_welcome = False
        self._ledger = Ledger(limit=_LIMIT, reserve=0, folder=folder)
        self._link = Link(
            driver=spec.driver,
            secret=spec.secret,
            address_file=folder,
            lease_seconds=0,
            ledger=self._ledger,
            on_message=self._on_message,
        )

    @property
    def session_name(self) -> str | None:
        """The name of the session that it is bound to."""
        found = self.bound or self.spec.binding
        return found.name if found else None

    def running(self) -> list[Entry]:
        """The statements that run, of all repls."""
        workers = [*self._workers.values(), *self._closing.values()]
        return [one.queue[0] for one in workers if one.queue and not one.is_stopping]

    def queued(self) -> list[int]:
        """How many statements each repl has been given and not finished."""
        return [len(worker.queue) for worker in self._workers.values()]

    # The link.

    def dial(self) -> Wire:
        assert self.wire is None
        self.wire = Wire(self.id, self.spec.secret)
        self._talking = asyncio.get_running_loop().create_task(self._converse(self.wire))
        return self.wire

    async def _converse(self, wire: Wire) -> None:
        socket = cast("websockets.ClientConnection", wire)
        try:
            await self._link._greet(socket)
            self.refused, self._is_welcome = 0, True
            await self.talk()
            await self._link._receive_all(socket)
        except _Refused:
            self.refused += 1
        except websockets.WebSocketException:
            pass
        finally:
            wire.leave()
            self._is_welcome, self.wire = False, None

    def hang_up(self) -> None:
        """Lose the link."""
        if self.wire is not None:
            self.wire.leave()

    async def end(self) -> None:
        """Be dead."""
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.wait((self._talking,))
        for entry in self._ledger:
            self._ledger.forget(entry)

    async def talk(self) -> None:
        """Send all that is pending."""
        if self._is_welcome and self.wire is not None and self.wire.is_open_for_agent:
            await self._link._send_news(cast("websockets.ClientConnection", self.wire))

    # Its work.

    async def advance(self) -> bool:
        """Take the next step towards what the gateway wants; False if there is none."""
        if not self._is_up:
            self._is_up = True
            self._open(self.spec.repl)
            if self.spec.binding is None:
                self._link.warmed()
            else:
                self._serve()
        elif not self.is_served:
            if self.bound is None:
                return False
            self._serve()
        elif self._closing:
            self._finish_closing()
        elif self._wishes:
            self._grant(self._wishes.popleft())
        else:
            return False
        await self.talk()
        return True

    def _serve(self) -> None:
        self.is_served = True
        self._link.ready(Ready(spark_app_id="local-1", versions={}))

    def _grant(self, wish: OpenRepl | CloseRepl) -> None:
        name = wish.repl
        if isinstance(wish, CloseRepl) and name in self._workers:
            self._closing[name] = self._workers.pop(name)
            self._closed.add(name)
        elif isinstance(wish, CloseRepl) or name in self._closed:
            self._closed.add(name)
            self._link.say(ReplClosed(repl=name))
        else:
            if name not in self._workers:
                self._open(name)
            self._link.say(ReplReady(repl=name))

    def _open(self, name: str) -> None:
        self._workers[name] = _Worker()
        for entry in self._waiting.pop(name, ()):
            self._submit(name, entry)

    def _finish_closing(self) -> None:
        name = next(iter(self._closing))
        del self._closing[name]
        for entry in self._ledger:
            if entry.run.repl == name:
                self._ledger.forget(entry)
        self._link.say(ReplClosed(repl=name))

    async def _on_message(self, message: ToAgent) -> None:
        match message:
            case OpenRepl() | CloseRepl():
                self._wishes.append(message)
            case Bind():
                self.bound = self.bound or message
            case Run():
                entry = self._ledger.take(message)
                if entry is not None and message.repl in self._workers:
                    self._submit(message.repl, entry)
                elif entry is not None:
                    self._waiting.setdefault(message.repl, []).append(entry)
            case Cancel():
                entry = self._ledger.get(message.repl, message.number)
                if entry is not None and message.repl in self._workers:
                    self._workers[message.repl].cancelled.add(entry.key)
            case _:
                raise AssertionError(message)

    def _submit(self, repl: str, entry: Entry) -> None:
        worker = self._workers[repl]
        worker.queue.append(entry)
        if len(worker.queue) == 1 and not worker.is_stopping:
            self._begin(entry)

    def _begin(self, entry: Entry) -> None:
        self.printed[entry.key] = ""
        self._began(self, entry.run)

    async def print(self, which: int, text: str) -> None:
        """Let a running statement print."""
        if running := self.running():
            entry = running[which % len(running)]
            entry.append(text)
            self.printed[entry.key] += text
            await self.talk()

    async def finish(self, which: int, outcome: Outcome, *, stop: bool = False) -> None:
        """Let a running statement end. One is cancelled only if that was asked for, or by Spark."""
        if not (running := self.running()):
            return
        entry = running[which % len(running)]
        repl, number = entry.key
        worker = self._workers.get(repl) or self._closing[repl]
        worker.queue.popleft()
        worker.is_stopping = stop
        entry.finish(
            Finished(
                repl=repl,
                number=number,
                seq=entry.seq,
                size=entry.size,
                outcome=outcome,
                ename=None if outcome == "ok" else "Theirs",
                stop=stop,
            )
        )
        if worker.queue and not stop:
            self._begin(worker.queue[0])
        await self.talk()
