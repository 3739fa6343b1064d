"""Streams of events: what they say, that they continue, and that they end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from msgspec import Raw

from livius.adapters.listener import Connections
from livius.bootstrap.listeners import listener
from livius.domain.session import Session
from livius.usecases import event_feed
from livius.usecases.drivers import report
from livius_agent.wire import Finished, Jobs, OpenRepl, Output, Ready, ReplReady
from support.tasks import until
from wire.conftest import Wire, served
from wire.test_high_concurrency import acquire, session_of

WAIT = 20


@dataclass
class Said:
    """One event of a stream."""

    name: str
    id: str
    data: dict[str, Any]


class Stream:
    """The events of an open stream, one by one."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.comments = 0
        self._lines = answer.aiter_lines()
        self._said = self._events()

    async def next(self) -> Said:
        async with asyncio.timeout(WAIT):
            return await anext(self._said)

    async def names(self, count: int) -> list[str]:
        return [(await self.next()).name for _ in range(count)]

    async def rest(self) -> list[Said]:
        async with asyncio.timeout(WAIT):
            return [one async for one in self._said]

    async def _events(self) -> AsyncIterator[Said]:
        found: dict[str, str] = {}
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if line and name:
                found[name] = value
            elif name == "" and line:
                self.comments += 1
            elif "data" in found:
                yield Said(found["event"], found["id"], json.loads(found["data"]))
                found = {}


@dataclass
class Live:
    """A wire whose application listens on a socket, as streams need it."""

    wire: Wire
    client: httpx.AsyncClient

    @asynccontextmanager
    async def stream(self, path: str, seen: str = "", **more: Any) -> AsyncIterator[Stream]:
        headers = {"Last-Event-ID": seen} if seen else {}
        url = f"{self.wire.base}/sessions/{path}"
        async with self.open(url, headers | more) as stream:
            yield stream

    @asynccontextmanager
    async def open(self, url: str, headers: dict[str, str] | None = None) -> AsyncIterator[Stream]:
        async with self.client.stream("GET", url, headers=headers, timeout=WAIT) as answer:
            yield Stream(answer)

    async def submit(self, session: Session, code: str = "1") -> int:
        url = f"{self.wire.base}/sessions/{session.id}/statements"
        return int((await self.wire.client.post(url, json={"code": code})).json()["id"])

    async def print(self, session: Session, number: int, offset: int, text: str) -> None:
        said = Output(repl=session.first_repl, number=number, seq=1, offset=offset, text=text)
        await report(self.wire.world.context, session, said)

    async def end(self, session: Session, number: int, size: int = 0, **more: Any) -> None:
        more = {"outcome": "ok", **more}
        done = Finished(repl=session.first_repl, number=number, seq=9, size=size, **more)
        await report(self.wire.world.context, session, done)


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with served() as wire:
        app = wire.client._transport.app  # type: ignore[attr-defined]
        connections = Connections(
            most=200, most_of_peer=200, patience=9.0, keep_alive=60, dropped=lambda _: None
        )
        server = listener(app, "127.0.0.1", 0, None, connections)
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.ports[0]}",
            headers={"Authorization": "Bearer ada"},
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        ) as client:
            yield Live(wire, client)
        wire.world.notifications.close()
        server.should_exit = True
        await serving


async def test_a_statement_is_followed_to_its_end(live: Live) -> None:
    session = await live.wire.ready_session()
    number = await live.submit(session)
    async with live.stream(f"{session.id}/statements/{number}/events") as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        begun = await stream.next()
        assert (begun.name, begun.data["state"]) == ("statement", "running")
        assert "code" not in begun.data
        await live.print(session, number, 0, "湖 1\n")
        assert (await stream.next()).data == {"statement": 0, "offset": 0, "text": "湖 1\n"}
        jobs = Jobs(repl=session.first_repl, number=number, total=3, jobs=())
        await report(live.wire.world.context, session, jobs)
        progress = await stream.next()
        assert (progress.name, progress.data["total_jobs"]) == ("progress", 3)
        await live.print(session, number, 6, "2\n")
        assert (await stream.next()).data["offset"] == 6
        data = Raw(b'{"image/png":"aGk="}')
        await live.end(session, number, 8, data=data)
        done, ended, end = await stream.rest()
    assert (done.name, done.data["progress"]) == ("progress", 1.0)
    assert (ended.name, ended.data["state"]) == ("statement", "available")
    assert ended.data["output"]["data"] == {"image/png": "aGk="}
    assert (end.name, end.data) == ("end", {"statement": 0})


async def test_an_error_has_its_name_and_its_text_came_before(live: Live) -> None:
    session = await live.wire.ready_session()
    number = await live.submit(session)
    await live.end(session, number, 2, text="x\n", outcome="error", ename="E", evalue="why")
    async with live.stream(f"{session.id}/statements/{number}/events") as stream:
        printed, ended, _end = await stream.rest()
    assert printed.data["text"] == "x\n"
    assert (ended.data["output"]["ename"], ended.data["output"]["evalue"]) == ("E", "why")
    assert "stdout" not in ended.data["output"]


async def test_from_each_event_on_comes_exactly_what_came_after_it(live: Live) -> None:
    session = await live.wire.ready_session()
    number = await live.submit(session)
    path = f"{session.id}/statements/{number}/events"
    text = "湖" * 50_000
    async with live.stream(path) as stream:
        whole = [await stream.next()]
        await live.print(session, number, 0, text)
        jobs = Jobs(repl=session.first_repl, number=number, total=3, jobs=())
        await report(live.wire.world.context, session, jobs)
        await live.end(session, number, len(text.encode()))
        whole += await stream.rest()
    assert "".join(one.data["text"] for one in whole if one.name == "output") == text
    assert len(whole) > 5
    for at, seen in enumerate(whole[:-1]):
        async with live.stream(path, seen.id) as stream:
            assert said_of(await stream.rest()) == said_of(whole[at + 1 :]), seen
    async with live.stream(path, whole[-1].id) as stream:
        assert stream.answer.status_code == 204, "a browser connects no more"


def said_of(events: list[Said]) -> list[tuple[str, dict[str, Any]]]:
    """The data of events. Only the last progress counts: an earlier one is not sent again."""
    last = [one for one in events if one.name == "progress"][-1:]
    return [(one.name, one.data) for one in events if one.name != "progress" or one in last]


async def test_a_session_is_followed_from_its_start_through_its_statements(live: Live) -> None:
    session = await live.wire.starting_session()
    async with live.stream(f"{session.id}/events") as stream:
        assert (await stream.next()).data["state"] in ("not_started", "starting")
        ready = await make_ready(live, session)
        while (said := await stream.next()).data["state"] != "idle":
            assert said.name == "session"
        first, second = [await live.submit(ready) for _ in range(2)]
        await live.print(ready, first, 0, "a")
        await live.end(ready, first, 1)
        seen = [await stream.next()]
        while seen[-1].data.get("id") != second:
            seen.append(await stream.next())
        states = [(one.data["id"], one.data["state"]) for one in seen if one.name == "statement"]
        assert (first, "available") in states
        assert [one.data["text"] for one in seen if one.name == "output"] == ["a"]
        cut = seen[-1].id
    await live.print(ready, second, 0, "b")
    async with live.stream(f"{session.id}/events", cut) as stream:
        while (said := await stream.next()).name != "output":
            assert said.data.get("id") != first
        assert said.data == {"statement": second, "offset": 0, "text": "b"}
        await live.wire.client.delete(f"{live.wire.base}/sessions/{session.id}")
        last = (await stream.rest())[-1]
    assert (last.name, last.data) == ("end", {})


async def make_ready(live: Live, session: Session) -> Session:
    attached = await live.wire.dial_in(session)
    await report(live.wire.world.context, attached, Ready(spark_app_id="local-1", versions={}))
    ready = await live.wire.world.store.session(session.id)
    assert ready is not None
    return ready


async def test_each_repl_of_a_shared_session_has_a_stream_of_its_own(live: Live) -> None:
    first = await acquire(live.wire)
    session = await session_of(live.wire, first)
    second = await acquire(live.wire)
    [opened] = live.wire.world.links.sent
    assert isinstance(opened, OpenRepl)
    await report(live.wire.world.context, session, ReplReady(repl=opened.repl))
    shared = f"{live.wire.base}/highConcurrencySessions/{session.id}/repls"
    of_first, of_second = f"{shared}/{session.first_repl}", f"{shared}/{opened.repl}"
    async with live.open(f"{of_first}/events") as one, live.open(f"{of_second}/events") as other:
        for stream in (one, other):
            assert (await stream.next()).name == "session"
        sent = await live.wire.client.post(f"{of_second}/statements", json={"code": "1"})
        assert sent.status_code == 200, sent.text
        said = Output(repl=opened.repl, number=0, seq=1, offset=0, text="x")
        await report(live.wire.world.context, session, said)
        while (event := await other.next()).name != "output":
            assert event.name in ("session", "statement")
        async with live.open(f"{of_second}/statements/0/events?from=0") as statement:
            assert await statement.names(2) == ["statement", "output"]
        acquired = f"{live.wire.base}/highConcurrencySessions"
        await live.wire.client.delete(f"{acquired}/{second['id']}")
        assert (await other.rest())[-1].name == "end"
        await live.wire.client.delete(f"{acquired}/{first['id']}")
        assert {event.name for event in await one.rest()} == {"session", "end"}
    refused = await live.wire.client.get(f"{live.wire.base}/sessions/{session.id}/events")
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "ReplRequired")


async def test_a_new_stream_of_a_session_begins_at_the_present_or_where_it_is_asked(
    live: Live,
) -> None:
    session = await live.wire.ready_session()
    for _ in range(2):
        await live.end(session, await live.submit(session), 1, text="x")
    running = await live.submit(session)
    async with live.stream(f"{session.id}/events") as stream:
        assert (await stream.next()).name == "session"
        assert (await stream.next()).data["id"] == running
    async with live.stream(f"{session.id}/events?from=1") as stream:
        assert await stream.names(3) == ["session", "output", "statement"]
        assert (await stream.next()).data["id"] == running


async def test_the_bytes_of_a_text_are_wanted_from_one_on(live: Live) -> None:
    session = await live.wire.ready_session()
    number = await live.submit(session)
    await live.end(session, number, 7, text="a湖b湖"[:3] + "cd")
    async with live.stream(f"{session.id}/statements/{number}/events?from=2") as stream:
        printed = await stream.next()
    assert printed.data == {"statement": 0, "offset": 4, "text": "bcd"}, "never half a character"


async def test_a_quiet_stream_says_that_it_lives_and_ends_with_the_callers_rights(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "BEAT", 0.05)
    session = await live.wire.ready_session()
    number = await live.submit(session)
    async with live.stream(f"{session.id}/statements/{number}/events") as stream:
        await stream.next()
        reading = asyncio.create_task(stream.rest())
        await until(lambda: stream.comments > 2)
        await live.wire.client.delete(f"{live.wire.base}/sessions/{session.id}")
        assert [one.name for one in await reading] == []


async def test_the_gateways_end_ends_streams_and_one_of_after_continues(live: Live) -> None:
    session = await live.wire.ready_session()
    number = await live.submit(session)
    path = f"{session.id}/statements/{number}/events"
    async with live.stream(path) as stream:
        seen = await stream.next()
        live.wire.world.notifications.close()
        assert await stream.rest() == []
    await live.print(session, number, 0, "more")
    async with live.stream(path, seen.id) as stream:
        assert [one.data["text"] for one in await stream.rest()] == ["more"]


async def test_streams_are_bounded_for_each_caller_and_given_back(live: Live) -> None:
    session = await live.wire.ready_session()
    number = await live.submit(session)
    path, ended = f"{session.id}/statements/{number}/events", asyncio.Event()

    async def listen() -> int:
        async with live.stream(path) as stream:
            if stream.answer.status_code != 200:
                assert stream.answer.headers["retry-after"] == "10"
                refused = json.loads(await stream.answer.aread())
                assert refused["errorCode"] == "TooManyStreams"
                assert "Close one" in refused["message"]
            else:
                await ended.wait()
            return stream.answer.status_code

    # All at the same moment: none slips in between the look at the limit and its own beginning.
    asked = [asyncio.create_task(listen()) for _ in range(60)]
    await until(lambda: sum(one.done() for one in asked) == 10)
    assert [one.result() for one in asked if one.done()] == [503] * 10
    assert live.wire.streams.open == {"session": 0, "statement": 50, "page": 0}
    async with live.stream(f"{session.id}/events") as refused:
        assert refused.answer.status_code == 503
    ended.set()
    await asyncio.gather(*asked)
    await until(lambda: not any(live.wire.streams.open.values()))
    async with live.stream(f"{session.id}/events") as stream:
        assert stream.answer.status_code == 200
        assert live.wire.streams.open["session"] == 1


async def test_statements_that_wait_are_told_while_another_runs(live: Live) -> None:
    session = await live.wire.ready_session()
    running, waiting = [await live.submit(session) for _ in range(2)]
    async with live.stream(f"{session.id}/events") as stream:
        assert await stream.names(2) == ["session", "statement"]
        queue = await stream.next()
        assert (queue.name, queue.data) == ("queue", {"waiting": [waiting]})
        base = f"{live.wire.base}/sessions/{session.id}/statements"
        await live.wire.client.post(f"{base}/{waiting}/cancel")
        cancelled = await stream.next()
        assert cancelled.data == {"waiting": []}
    async with live.stream(f"{session.id}/events", queue.id) as stream:
        assert (await stream.next()).data == cancelled.data
    await live.end(session, running)
    async with live.stream(f"{session.id}/events", cancelled.id) as stream:
        ended = [(await stream.next()).data for _ in range(3)]
        assert [(one["id"], one["state"]) for one in ended] == [
            (running, "available"),
            (waiting, "cancelled"),
            (session.id, "idle"),
        ]


@pytest.mark.parametrize("seen", ["x", "0.0.running", "1.0.running..", "é", "0.-1.running.."])
async def test_an_id_of_another_stream_is_a_400(live: Live, seen: str) -> None:
    session = await live.wire.ready_session()
    number = await live.submit(session)
    headers = {"Last-Event-ID": seen.encode()}
    url = f"{live.wire.base}/sessions/{session.id}/statements/{number}/events"
    answer = await live.wire.client.get(url, headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "InvalidInput")
    assert "Last-Event-ID" in answer.json()["message"]


async def test_streams_are_the_submitters_and_the_admins(live: Live) -> None:
    session = await live.wire.ready_session()
    number = await live.submit(session)
    eve = live.wire.as_caller("eve")
    for path in (f"{session.id}/events", f"{session.id}/statements/{number}/events"):
        url = f"{live.wire.base}/sessions/{path}"
        assert (await live.wire.client.get(url, headers=eve)).status_code == 403
    missing = f"{live.wire.base}/sessions/{session.id}/statements/9/events"
    assert (await live.wire.client.get(missing)).status_code == 404
