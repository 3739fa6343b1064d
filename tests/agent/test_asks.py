"""The way of a question from user code to the gateway and back."""

import asyncio
import json
import queue
import threading
from typing import Self

import pytest

from livius_agent import gateway_requests as module
from livius_agent.gateway_requests import GatewayRequests
from livius_agent.wire import LONGEST_ASK, AgentRequest, Answer, FromAgent


class Jvm:
    """The JVM's end: questions that wait, and the answers that came."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[str] = queue.Queue()
        self.answers: dict[int, dict[str, object]] = {}
        self.ended = threading.Event()

    def nextAsk(self, millis: int) -> str | None:  # noqa: N802 - Scala's name
        del millis
        while not self.ended.is_set():
            try:
                return self.waiting.get(timeout=0.01)
            except queue.Empty:
                continue
        raise ConnectionError

    def answerAsk(self, number: int, text: str) -> None:  # noqa: N802
        self.answers[number] = json.loads(text)

    def ask(self, number: int, what: str = "context", **arguments: str) -> None:
        question = {"id": number, "repl": "r", "what": what, "arguments": arguments}
        self.waiting.put(json.dumps(question))


async def until(happened: object) -> None:
    async with asyncio.timeout(10):
        while not happened():  # type: ignore[operator]
            await asyncio.sleep(0.005)


class World:
    def __init__(self, *, running: bool = False) -> None:
        self.jvm = Jvm()
        self.said: list[FromAgent] = []
        self.secrets: list[str] = []
        self.asks = GatewayRequests(
            self.jvm, self.said.append, lambda _: running, self.secrets.append
        )

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.asks.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.jvm.ended.set()
        with pytest.raises(BaseExceptionGroup):
            await self.task


async def test_answers_find_their_questions_in_any_order() -> None:
    async with World() as world:
        world.jvm.ask(1)
        world.jvm.ask(2)
        await until(lambda: len(world.said) == 2)
        assert sorted(ask.id for ask in world.asks) == [1, 2]
        world.asks.answered(Answer(id=2, body={"n": 2}))
        world.asks.answered(Answer(id=1, error="no", code="Refused"))
        world.asks.answered(Answer(id=1, body={"late": True}))
        world.asks.answered(Answer(id=99, body={}))
        await until(lambda: len(world.jvm.answers) == 2)
        assert world.jvm.answers == {
            1: {"error": "no", "code": "Refused"},
            2: {"value": {"n": 2}},
        }
        assert list(world.asks) == []


async def test_what_nobody_answers_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_WITHIN", 0.05)
    async with World() as world:
        world.jvm.ask(1)
        await until(lambda: world.jvm.answers)
        assert world.jvm.answers[1]["code"] == "GatewayUnreachable"
        assert list(world.asks) == []


async def test_what_is_too_long_is_not_sent() -> None:
    async with World() as world:
        world.jvm.ask(1, text="x" * LONGEST_ASK)
        await until(lambda: world.jvm.answers)
        assert world.jvm.answers[1]["code"] == "TooLarge"
        assert world.said == []


async def test_what_is_malformed_is_not_sent_for_it_would_end_the_link() -> None:
    async with World() as world:
        world.jvm.ask(1, "everything")
        world.jvm.waiting.put('{"id": 2, "repl": "r", "what": "token", "arguments": {"a": null}}')
        world.jvm.waiting.put('{"id": 3, "repl": 7, "what": "token"}')
        await until(lambda: len(world.jvm.answers) == 3)
        assert {one["code"] for one in world.jvm.answers.values()} == {"Malformed"}
        assert world.said == []


async def test_a_secret_is_known_before_the_code_that_asked_has_it() -> None:
    async with World() as world:
        world.jvm.ask(1, "token", audience="pbi")
        world.jvm.ask(2, "context")
        await until(lambda: len(world.said) == 2)
        world.asks.answered(Answer(id=1, body={"value": "s3cret"}))
        world.asks.answered(Answer(id=2, body={"value": "plain"}))
        await until(lambda: len(world.jvm.answers) == 2)
        assert world.secrets == ["s3cret"]


async def test_a_stop_is_told_with_the_running_statement_else_at_once() -> None:
    async with World(running=True) as world:
        world.jvm.ask(1, "stop")
        await until(lambda: world.jvm.answers)
        assert world.jvm.answers == {1: {"value": {}}}
        assert world.said == []
    async with World(running=False) as world:
        world.jvm.ask(1, "stop")
        await until(lambda: world.said)
        assert world.said == [AgentRequest(id=1, repl="r", what="stop")]
        world.asks.answered(Answer(id=1, body={}))
        await until(lambda: world.jvm.answers)
