"""The gateway's side of names that drivers propose."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest

from fakes.world import World
from livius.domain.repl import Phase, Repl
from livius.domain.statement import Kind
from livius.usecases import completion
from livius.usecases.sessions import CreateSession, create_session
from livius_agent.wire import COMPLETION_PROTOCOL, LONGEST_LINE, Complete, Completed


@dataclass
class Asking:
    """A repl of a driver whose link is open."""

    world: World
    repl: Repl

    def attach(self, protocol: int = COMPLETION_PROTOCOL) -> object:
        token = object()
        self.world.links.open.add(self.repl.driver)
        self.world.context.completions.attached(self.repl.driver, token, protocol)
        return token

    def ask(self, code: str = "x.") -> "asyncio.Task[Sequence[str]]":
        context = self.world.context
        asking = context.completions.ask(context.links, self.repl, Kind.PYSPARK, code)
        return asyncio.get_running_loop().create_task(asking)

    async def question(self) -> Complete:
        async with asyncio.timeout(5):
            while not self.world.links.sent:
                await asyncio.sleep(0)
        sent = self.world.links.sent.pop()
        assert isinstance(sent, Complete)
        return sent

    def answer(self, number: int, *names: str) -> None:
        message = Completed(id=number, names=names)
        self.world.context.completions.answered(self.repl.driver, message)


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    world = await World().begin()
    made = await create_session(world.context, world.admin, *world.place, CreateSession())
    repl = await world.store.repl(made.session.first_repl)
    assert repl is not None
    yield Asking(world, replace(repl, phase=Phase.OPEN))
    world.store.close()


async def test_an_answer_reaches_its_question_alone(asking: Asking) -> None:
    asking.attach()
    first = asking.ask("a." + "b" * 5000)
    one = await asking.question()
    assert len(one.code) == LONGEST_LINE
    second = asking.ask("c.")
    two = await asking.question()
    asking.answer(99, "nobody's")
    asking.answer(two.id, "d")
    asking.answer(two.id, "again")
    asking.answer(one.id, "b")
    assert list(await first) == ["b"]
    assert list(await second) == ["d"]
    asking.answer(one.id, "late")


async def test_there_are_no_names_where_none_can_come(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(await asking.ask()) == []  # no link
    asking.attach(COMPLETION_PROTOCOL - 1)  # a driver from before this
    assert list(await asking.ask()) == []
    asking.repl = replace(asking.repl, phase=Phase.OPENING)
    asking.attach()
    assert list(await asking.ask()) == []
    asking.repl = replace(asking.repl, phase=Phase.OPEN)
    monkeypatch.setattr(completion, "_WITHIN", 0.01)
    assert list(await asking.ask()) == []  # no answer
    assert len(asking.world.links.sent) == 1


async def test_a_driver_has_few_open_questions_and_an_old_links_end_is_no_new_ones(
    asking: Asking,
) -> None:
    old = asking.attach()
    asking.attach()
    asking.world.context.completions.detached(asking.repl.driver, old)
    tasks = [asking.ask() for _ in range(10)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert len(asking.world.links.sent) < 10
    for message in list(asking.world.links.sent):
        assert isinstance(message, Complete)
        asking.answer(message.id, "x")
    assert ["x"] in map(list, await asyncio.gather(*tasks))
