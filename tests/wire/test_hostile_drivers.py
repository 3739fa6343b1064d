"""Whatever a driver says, over a real WebSocket: its own session may end, and nobody else's.

Code of a session can take the link's secret from its agent's memory, so each of these frames may
come from a user.
"""

import asyncio
import fcntl
import json
import socket as sockets
import termios
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Raw
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fakes.world import World, submit_statement
from livius.adapters.links import LinkTable
from livius.adapters.listener import Connections, protocols
from livius.api import driver, fabric
from livius.api.app import create_app
from livius.api.driver.outbox import Outbox
from livius.bootstrap.listeners import listener
from livius.domain.digests import hash_drawn
from livius.domain.session import EndCause, Phase, Session
from livius.event_streams import EventStreams
from livius.usecases.sessions import CreateSession, create_session
from livius_agent.ledger import WINDOW, Entry
from livius_agent.text import json_bytes
from livius_agent.wire import (
    LARGEST_DATA,
    MAX_FRAME_BYTES,
    OUTPUT_CHUNK_BYTES,
    PROTOCOL,
    Ack,
    Beat,
    Failing,
    Finished,
    Hello,
    LedgerEntry,
    Output,
    Progress,
    Ready,
    Run,
    Welcome,
    decode_gateway,
    encode,
)
from wire.conftest import NamedTokens

SECRET = "s" * 43
PING, EMPTY_TEXT = b"\x89\x80\0\0\0\0", b"\x81\x80\0\0\0\0"
FRAGMENT, MORE = b"\x01\x80\0\0\0\0", b"\x00\x80\0\0\0\0"


@dataclass
class Agent:
    """A hostile agent's end of a link. It works in threads: it is another process in truth."""

    session: Session
    socket: ClientConnection
    links: ExitStack

    @property
    def repl(self) -> str:
        return self.session.first_repl

    async def send(self, *frames: str | bytes) -> None:
        def work() -> None:
            for frame in frames:
                self.socket.send(frame)

        await asyncio.to_thread(work)

    async def send_raw(self, data: bytes) -> None:
        await asyncio.to_thread(self.socket.socket.sendall, data)

    async def next(self) -> Any:
        return decode_gateway(await asyncio.to_thread(self.socket.recv, 10))

    async def closed(self) -> int | None:
        """Read until the link is closed; return the code."""

        def work() -> int | None:
            try:
                while True:
                    self.socket.recv(30)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None

        return await asyncio.to_thread(work)

    async def gone(self) -> None:
        await asyncio.to_thread(self.links.close)


@dataclass
class Gateway:
    """The routes of clients and agents over a core of fakes, on a real socket of this process."""

    world: World
    links: LinkTable
    port: int
    connections: Connections
    agents: list[Agent] = field(default_factory=list)

    async def session(self) -> Session:
        world = self.world
        made = await create_session(world.context, world.admin, *world.place, CreateSession())
        await world.settle(made.session.id)
        await world.store.note_launch(made.session.driver, hash_drawn(SECRET), at=world.clock.now())
        return made.session

    async def dial(self, session: Session, hello: Hello | None = None) -> Agent:
        links = ExitStack()

        def open_link() -> ClientConnection:
            return links.enter_context(
                connect(
                    f"ws://127.0.0.1:{self.port}/driver/v1/attach",
                    additional_headers={"Authorization": f"Bearer {session.driver}.{SECRET}"},
                    compression=None,
                    close_timeout=1,
                    proxy=None,
                )
            )

        agent = Agent(session, await asyncio.to_thread(open_link), links)
        self.agents.append(agent)
        said = hello or Hello(protocol=PROTOCOL, driver=session.driver, agent="1", last={})
        await agent.send(encode(said))
        return agent

    async def agent(self) -> Agent:
        """A link of a session that is ready."""
        session = await self.session()
        agent = await self.dial(session)
        await agent.next()
        await agent.send(encode(Ready(spark_app_id="local-1", versions={})))
        async with asyncio.timeout(10):
            while (await self.record(session)).phase is not Phase.READY:
                await asyncio.sleep(0.01)
        return agent

    async def running(self) -> Agent:
        """A link of a session whose statement 0 runs."""
        agent = await self.agent()
        await self.submit(agent.session)
        assert isinstance(await agent.next(), Run)
        return agent

    async def submit(self, session: Session) -> None:
        world = self.world
        await submit_statement(
            world.context,
            world.admin,
            world.path(session.id),
            code="1",
            kind=None,
            source_id=None,
        )

    async def record(self, session: Session) -> Session:
        found = await self.world.store.session(session.id)
        assert found is not None
        return found

    async def ended(self, session: Session) -> Session:
        """The record once the reconciler has seen to what the gateway wants."""
        async with asyncio.timeout(20):
            while (await self.record(session)).end_cause is None:
                await asyncio.sleep(0.01)
        await self.world.settle(session.id)
        return await self.record(session)

    async def get(self, agent: Agent, number: int = 0) -> httpx.Response:
        workspace, lakehouse = self.world.place
        base = f"/v1/workspaces/{workspace}/lakehouses/{lakehouse}/livyapi/versions/2023-12-01"
        url = f"http://127.0.0.1:{self.port}{base}/sessions/{agent.session.id}/statements/{number}"
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            return await client.get(
                url, headers={"Authorization": "Bearer ada", "Prefer": "wait=0"}
            )


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    world = World()
    links = LinkTable(world.clock)
    world.context = replace(world.context, links=links)
    world.reconciler = replace(world.reconciler, links=links)
    await world.begin()
    app = create_app(
        NamedTokens({"ada": world.admin}),
        [fabric.router(world.context, EventStreams()), driver.router(world.context)],
        version="0",
    )
    limits = Connections(most=100, most_of_peer=100, patience=20, keep_alive=75)
    server = listener(app, "127.0.0.1", 0, None, limits)
    loop = asyncio.get_running_loop()
    serving, sweeping = loop.create_task(server.serve()), loop.create_task(limits.run())
    while not server.started:
        await asyncio.sleep(0.01)
    made = Gateway(world, links, server.ports[0], limits)
    yield made
    for agent in made.agents:
        await agent.gone()
    server.should_exit = True
    await serving
    sweeping.cancel()
    world.store.close()


Attack = Callable[[Agent], Awaitable[None]]


def of_statement(agent: Agent, **more: Any) -> dict[str, Any]:
    return {"repl": agent.repl, "number": 0, "seq": 1, **more}


def frame(kind: str, **fields: Any) -> Attack:
    """An attack of one JSON frame."""

    async def attack(agent: Agent) -> None:
        of_repl = of_statement(agent) if kind not in ("failing", "ready", "beat") else {}
        await agent.send(json.dumps({"type": kind, **of_repl, **fields}))

    return attack


def text(*frames: str | bytes) -> Attack:
    async def attack(agent: Agent) -> None:
        await agent.send(*frames)

    return attack


def raw(data: bytes) -> Attack:
    async def attack(agent: Agent) -> None:
        await agent.send_raw(data)

    return attack


async def large_data(agent: Agent) -> None:
    offset = LARGEST_DATA - 10
    piece = of_statement(agent, offset=offset, text="x" * 100, stream="data")
    await agent.send(encode(Output(**piece)))


async def data_that_is_none(agent: Agent) -> None:
    half = '{"a":["' + "x" * 100
    await agent.send(
        encode(Output(**of_statement(agent, offset=0, text=half, stream="data"))),
        encode(Finished(**of_statement(agent, size=0, outcome="ok", data_size=len(half)))),
    )


FINISHED = {"size": 0, "outcome": "ok"}
OUTPUT = {"offset": 0, "text": "x"}
RULES: list[tuple[str, Attack, str]] = [
    ("no JSON", text("{"), "no message"),
    ("bytes", text(b"\xff\xfe"), "no message"),
    ("deep JSON", text("[" * 100_000), "no message"),
    ("deep data", text('{"type":"finished","data":' + "[" * 100_000), "no message"),
    ("unknown type", frame("shutdown"), "no message"),
    ("our own message", frame("cancel"), "no message"),
    (
        "a second hello",
        text(encode(Hello(protocol=3, driver="d", agent="", last={}))),
        "sent hello where that is out of place",
    ),
    ("a large frame", text(b'"' + b"x" * MAX_FRAME_BYTES + b'"'), f"than {MAX_FRAME_BYTES} bytes"),
    ("long text", frame("output", offset=0, text="x" * (OUTPUT_CHUNK_BYTES + 1)), "no message"),
    ("half a character", text('{"type":"failing","reason":"\\ud800"}'), "no message"),
    ("NaN", text('{"type":"progress","repl":"r","number":0,"seq":1,"value":NaN}'), "no message"),
    (
        "infinity",
        text('{"type":"progress","repl":"r","number":0,"seq":1,"value":1e999}'),
        "message",
    ),
    ("a long reason", frame("failing", reason="x" * 100_000), "no message"),
    ("a long app id", frame("ready", spark_app_id="x" * 100_000, versions={}), "no message"),
    (
        "many versions",
        frame("ready", spark_app_id="", versions=dict.fromkeys(map(str, range(99)), "")),
        "no message",
    ),
    ("a huge number", frame("output", **OUTPUT | {"number": 10**30}), "no message"),
    (
        "a long error",
        frame("finished", size=0, outcome="error", evalue="x" * 300_000),
        "no message",
    ),
    ("another's repl", frame("output", **OUTPUT | {"repl": "other"}), "repl that is not its own"),
    (
        "output of none",
        frame("output", **OUTPUT | {"number": 7}),
        "statement 7, which does not run",
    ),
    ("data of none", frame("output", **OUTPUT | {"number": 7, "stream": "data"}), "does not run"),
    ("too much data", large_data, f"more than {LARGEST_DATA} bytes"),
    ("broken data", data_that_is_none, "no JSON object"),
    ("NaN in data", text('{"type":"finished","data":{"a":NaN}}'), "no message"),
    ("data is a list", frame("finished", **FINISHED, data=[1]), "no JSON object"),
    ("fragments", raw(FRAGMENT + MORE * 50_000), "frames that say nothing"),
    ("pings", raw(PING * 50_000), "frames that say nothing"),
    ("no WebSocket", raw(b"\xff" * 100), "no WebSocket frame"),
    ("an unmasked frame", raw(b"\x81\x02{}"), "no WebSocket frame"),
    ("not UTF-8", raw(b"\x81\x81\0\0\0\0\xff"), "UTF-8"),
    ("empty messages", raw(EMPTY_TEXT * 50_000), "no message"),
]


@pytest.mark.parametrize(("attack", "rule"), [one[1:] for one in RULES], ids=[o[0] for o in RULES])
async def test_a_driver_that_breaks_a_rule_loses_its_session_and_nobody_else_theirs(
    gateway: Gateway, attack: Attack, rule: str
) -> None:
    bystander, hostile = await gateway.running(), await gateway.running()
    await attack(hostile)
    ended = await gateway.ended(hostile.session)
    assert ended.end_cause is EndCause.DRIVER_REFUSED
    assert ended.end_reason is not None
    assert rule in ended.end_reason
    assert len(ended.end_reason) < 1000
    assert ended.phase is Phase.STOPPED
    await hostile.closed()
    answer = (await gateway.get(hostile)).json()
    assert answer["state"] == "available"
    assert answer["output"]["evalue"] == ended.end_reason
    # The one beside goes on.
    await bystander.send(
        encode(Output(**of_statement(bystander, offset=0, text="all is well"))),
        encode(Finished(**of_statement(bystander, size=11, outcome="ok"))),
    )
    while not (ack := await bystander.next()).finished:
        assert isinstance(ack, Ack)
    assert (await gateway.get(bystander)).json()["output"]["data"] == {"text/plain": "all is well"}


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(encode(Beat()), id="beats"),
        pytest.param(encode(Progress(repl="", number=0, seq=1, value=0.5)), id="progress"),
        pytest.param(encode(Output(repl="", number=0, seq=1, offset=0, text="x")), id="output"),
    ],
)
async def test_a_flood_is_slowed_down_and_starves_nobody(gateway: Gateway, flood: bytes) -> None:
    bystander, hostile = await gateway.running(), await gateway.running()
    await gateway.submit(bystander.session)
    payload = flood.replace(b'"repl":""', f'"repl":"{hostile.repl}"'.encode())
    size = len(payload)
    head = bytes([0x82, 0x80 | size]) if size < 126 else b"\x82\xfe" + size.to_bytes(2, "big")
    stop = threading.Event()

    def send() -> None:
        with suppress(OSError):
            while not stop.is_set():
                hostile.socket.socket.sendall((head + b"\0\0\0\0" + payload) * 1000)

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    loop, waits = asyncio.get_running_loop(), []
    for number in range(2):
        await bystander.send(
            encode(Finished(**of_statement(bystander, size=0, outcome="ok") | {"number": number}))
        )
        while not isinstance(await bystander.next(), Ack):
            pass
        before = loop.time()
        assert (await gateway.get(bystander, number)).json()["state"] == "available"
        waits.append(loop.time() - before)
    stop.set()
    # Sockets are shut, so that the thread ends wherever it waits.
    with suppress(OSError):  # The gateway may have ended it already.
        hostile.socket.socket.shutdown(sockets.SHUT_RDWR)
    await asyncio.to_thread(sending.join)
    assert max(waits) < 5  # seconds, on a machine that does other things too
    # Of what it is answered it reads nothing, which is another rule.
    reason = (await gateway.record(hostile.session)).end_reason
    assert reason is None or "sends and does not read" in reason


async def stuck_link(gateway: Gateway) -> Agent:
    """A link whose peer doesn't read, so that the gateway can send nothing more on it."""
    agent = await gateway.agent()
    run = Run(repl=agent.repl, number=0, kind="sql", code="x" * 1_000_000)
    for _ in range(60):
        gateway.links.send(agent.session.driver, run)

    def wait() -> None:
        unread, since = b"", time.monotonic()
        while time.monotonic() - since < 0.5:
            now = fcntl.ioctl(agent.socket.socket, termios.FIONREAD, bytes(4))
            if now != unread or not any(now):
                unread, since = now, time.monotonic()
            time.sleep(0.02)

    await asyncio.to_thread(wait)
    return agent


@pytest.mark.parametrize("ending", ["the gateway closes it", "it breaks a rule", "time"])
async def test_a_link_whose_peer_does_not_read_ends(
    gateway: Gateway, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.connections.patience = 0.5 if ending == "time" else 600
    monkeypatch.setattr(protocols, "_SLOWEST_PEER", 10_000_000)
    agent = await stuck_link(gateway)
    assert len(gateway.connections) == 1
    if ending == "the gateway closes it":
        gateway.links.close(agent.session.driver)
        await asyncio.sleep(0)
        with suppress(ConnectionClosed):
            await agent.send(encode(Failing(reason="said after the close")))
    elif ending == "it breaks a rule":
        await agent.send("{")
    async with asyncio.timeout(8):
        while len(gateway.connections):
            await asyncio.sleep(0.01)
    while gateway.links.is_open(agent.session.driver):
        await asyncio.sleep(0.01)
    found = await gateway.record(agent.session)
    assert (found.end_cause is not None) == (ending == "it breaks a rule")
    assert "said after" not in (found.end_reason or "")


@pytest.mark.parametrize("code", [1002, 1007, 1008, 1009])
async def test_the_code_with_which_an_agent_closes_breaks_no_rule(
    gateway: Gateway, code: int
) -> None:
    agent = await gateway.agent()
    await asyncio.to_thread(agent.socket.close, code)
    while gateway.links.is_open(agent.session.driver):
        await asyncio.sleep(0.01)
    again = await gateway.dial(agent.session)
    assert isinstance(await again.next(), Welcome)
    assert (await gateway.record(agent.session)).end_cause is None


@pytest.mark.parametrize("data", ['"' + "x" * MAX_FRAME_BYTES + '"', '{"a":NaN}'])
async def test_a_driver_from_before_is_not_blamed_for_its_results(
    gateway: Gateway, data: str
) -> None:
    session = await gateway.session()
    old = await gateway.dial(session, Hello(protocol=2, driver=session.driver, agent="1", last={}))
    await old.next()
    await old.send('{"type":"finished","data":' + data)
    reason = (await gateway.ended(session)).end_reason or ""
    assert "was started by an older version of Livius" in reason
    assert "Results over 1 MiB" in reason
    assert "Code that speaks" not in reason


async def test_a_driver_that_dials_all_the_time_is_sent_away_for_a_while(gateway: Gateway) -> None:
    session = (await gateway.agent()).session
    codes = []
    for _ in range(25):
        try:
            await (await gateway.dial(session)).next()
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else None)
    assert codes == [1013] * len(codes)
    assert len(codes) >= 4
    assert (await gateway.record(session)).end_cause is None


async def test_output_beyond_the_limit_is_cut_by_the_gateway_too(gateway: Gateway) -> None:
    agent = await gateway.running()
    most, piece = gateway.world.context.rules.output_limit, "x" * OUTPUT_CHUNK_BYTES
    sent = 0
    while sent < 2 * most:
        await agent.send(encode(Output(**of_statement(agent, offset=sent, text=piece))))
        sent += len(piece)
        assert (await agent.next()).offset == sent
    await agent.send(encode(Finished(**of_statement(agent, size=sent, outcome="ok"))))
    assert (await agent.next()).finished
    text = (await gateway.get(agent)).json()["output"]["data"]["text/plain"]
    assert most <= len(text) < most + 1000
    assert "output cut: the limit is" in text[-100:]


async def test_what_has_ended_is_never_changed(gateway: Gateway) -> None:
    agent = await gateway.running()
    large = "x" * 2000
    await agent.send(
        encode(Output(**of_statement(agent, offset=0, text=large))),
        encode(Finished(**of_statement(agent, size=2000, outcome="ok"))),
    )
    while not (await agent.next()).finished:
        pass
    again = Finished(**of_statement(agent, size=4000, outcome="error", text=large + large))
    await agent.send(encode(again))
    assert (await agent.next()).finished
    await agent.send(encode(Output(**of_statement(agent, offset=2000, text=large))))
    ended = await gateway.ended(agent.session)
    assert "statement 0, which does not run" in (ended.end_reason or "")
    assert (await gateway.get(agent)).json()["output"]["data"] == {"text/plain": large}


@pytest.mark.parametrize("breaks", [False, True])
async def test_large_data_comes_in_pieces_and_goes_on_after_a_break(
    gateway: Gateway, tmp_path: Path, *, breaks: bool
) -> None:
    agent = await gateway.running()
    run = Run(repl=agent.repl, number=0, kind="sql", code="1")
    entry = Entry(run, 10**7, 0, tmp_path)
    entry.append('printed 台北 \x1b[0m"\n' * 20_000)
    data = {"application/json": {"data": [[number, "台北😀", None] for number in range(100_000)]}}
    end = Finished(repl=agent.repl, number=0, seq=0, size=entry.size, outcome="ok")
    entry.finish(end, json_bytes(data))
    assert entry.finished is not None
    assert entry.finished.data_size > 2 * WINDOW
    is_first = True
    while True:
        while (piece := entry.next_output()) is not None:
            await agent.send(encode(piece))
        if (finished := entry.next_end()) is not None:
            await agent.send(encode(finished))
        ack = await agent.next()
        if ack.finished:
            break
        entry.acknowledge(ack.offset, ack.stream)
        if breaks and is_first and ack.stream == "data" and ack.offset > 500_000:
            is_first = False
            await agent.gone()
            of_entry = LedgerEntry(repl=agent.repl, number=0, seq=0, size=entry.size, finished=True)
            hello = Hello(
                protocol=PROTOCOL,
                driver=agent.session.driver,
                agent="1",
                last={},
                ledger=(of_entry,),
            )
            agent = await gateway.dial(agent.session, hello)
            [durable] = (await agent.next()).durable
            assert durable.data > 0
            entry.rewind(durable.offset, durable.data)
    entry.close()
    assert is_first is not breaks
    output = (await gateway.get(agent)).json()["output"]
    assert output["data"] == data | {"text/plain": ('printed 台北 \x1b[0m"\n' * 20_000).rstrip()}
    assert list(output) == ["status", "execution_count", "data"]


@pytest.mark.parametrize("rows", [1, 10_000])
async def test_data_reaches_the_caller_as_the_driver_sent_it(gateway: Gateway, rows: int) -> None:
    agent = await gateway.running()
    values = ", ".join(['[1.10, 1E+2, 12345678901234567890123.0, "\\u00e9"]'] * rows)
    data = f'{{"application/json": {{"data": [{values}]}}}}'
    end = Finished(**of_statement(agent, size=0, outcome="ok", data=Raw(data.encode())))
    await agent.send(encode(end))
    assert (await agent.next()).finished
    assert data[1:-1].partition(": ")[2] in (await gateway.get(agent)).text


async def test_a_driver_from_before_is_served_as_it_speaks(gateway: Gateway) -> None:
    """Protocol 2 sends text frames, and all data with the end."""
    session = await gateway.session()
    old = await gateway.dial(session, Hello(protocol=2, driver=session.driver, agent="1", last={}))
    await old.next()
    await old.send(
        '{"type":"ready","spark_app_id":"local-1","versions":{},"ui_url":null,"conf":{}}'
    )
    await gateway.submit(session)
    assert isinstance(await old.next(), Run)
    data = {"application/json": [["x" * 100]] * 3000}
    end = of_statement(old, size=0, outcome="ok", data=data, ename=None, traceback=[])
    await old.send(json.dumps({"type": "finished", **end}))
    assert (await old.next()).finished
    assert (await gateway.get(old)).json()["output"]["data"] == data | {"text/plain": ""}


@pytest.mark.parametrize("protocol", [0, PROTOCOL + 1])
async def test_a_driver_of_another_protocol_ends_with_the_reason(
    gateway: Gateway, protocol: int
) -> None:
    session = await gateway.session()
    hello = Hello(protocol=protocol, driver=session.driver, agent="1", last={})
    agent = await gateway.dial(session, hello)
    assert await agent.closed() == 1008
    ended = await gateway.ended(session)
    assert f"speaks protocol {protocol}" in (ended.end_reason or "")


async def test_a_wrong_secret_is_refused_before_the_upgrade(gateway: Gateway) -> None:
    session = await gateway.session()
    await gateway.world.store.note_launch(
        session.driver, hash_drawn("another"), at=gateway.world.clock.now()
    )
    with pytest.raises(InvalidStatus):
        await gateway.dial(session)


async def test_an_agent_that_sends_and_never_reads_is_noticed() -> None:
    outbox = Outbox()
    ack = Ack(repl="r", number=0, offset=0, finished=False)
    for _ in range(1000):
        outbox.send(ack)
    assert not outbox.overflowed.is_set()
    outbox.send(ack)
    assert outbox.overflowed.is_set()
    assert await outbox.next() == ack
