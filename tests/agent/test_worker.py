"""The order in which a repl does its work."""

import asyncio
import itertools
import threading
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from livius_agent import worker as module
from livius_agent.ledger import Entry
from livius_agent.redact import Secrets
from livius_agent.wire import Run
from livius_agent.worker import ReplWorker
from livius_agent.zygote_client import ReplEnded


class Jvm:
    """The JVM's end: notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.statements: set[str] = set()
        self.driver = SimpleNamespace(openRepl=lambda *_: self, jobs=lambda *_: "")

    def pythonPort(self) -> int:  # noqa: N802 - Scala's name
        return 0

    def pythonToken(self) -> str:  # noqa: N802
        return ""

    def warmScala(self) -> None:  # noqa: N802
        self.asked.append("the interpreter")

    def runScala(self, code: str, group: str) -> Any:  # noqa: N802
        del group
        self.asked.append(code)
        return SimpleNamespace(status=lambda: "ok", data=lambda: "{}")


async def fork(*_: object) -> None:
    raise ReplEnded("There is no Python here.")


async def opened(jvm: Any, work: Path) -> ReplWorker:
    return await ReplWorker.open(
        name="repl", jvm=jvm, zygote=SimpleNamespace(fork=fork), work=work,
        lakehouse="", row_limit=1, patience=10, secrets=Secrets(), changed=lambda: None,
        progressed=lambda *_: None, has_jobs=lambda *_: None,
    )  # fmt: skip


async def test_the_interpreter_is_made_in_the_first_quiet_moment_and_statements_come_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET", 0.05)
    jvm: Any = Jvm()
    worker = await opened(jvm, tmp_path)
    numbers = itertools.count()

    def submit(code: str) -> None:
        run = Run(repl="repl", number=next(numbers), kind="spark", code=code)
        worker.submit(Entry(run, 1000, 0, tmp_path))

    submit("first")
    submit("second")
    working = asyncio.get_running_loop().create_task(worker.run(warm=True))
    try:
        async with asyncio.timeout(10):
            while len(jvm.asked) < 3:
                await asyncio.sleep(0.01)
            submit("third")
            while len(jvm.asked) < 4:
                await asyncio.sleep(0.01)
    finally:
        working.cancel()
    assert jvm.asked == ["first", "second", "the interpreter", "third"]


class Planning(Jvm):
    """After a cancel, a thread of Spark's own plans a query, which ends after so many looks."""

    LOOKS = 10

    def __init__(self, *, busy: bool) -> None:
        super().__init__()
        self.looks = 0
        self.interrupted = threading.Event()
        self.driver.left = self.left
        self.driver.isBusy = lambda: busy

    def runScala(self, code: str, group: str) -> Any:  # noqa: N802
        del code, group
        self.interrupted.wait(10)
        return SimpleNamespace(status=lambda: "interrupted")

    def cancel(self, group: str) -> bool:
        del group
        self.interrupted.set()
        return True

    def left(self, group: str) -> str:
        del group
        self.looks += 1
        return "nothing" if self.looks == self.LOOKS else "planned"


@pytest.mark.parametrize(
    ("others", "busy", "waits"),
    [((), False, True), (("another repl's",), False, False), ((), True, False)],
    ids=["nothing else works", "another statement runs", "a stream runs"],
)
async def test_a_cancel_waits_for_what_only_its_own_statement_can_have_begun(
    others: Iterable[str],
    *,
    busy: bool,
    waits: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(module._ENDS_WITHIN, "planned", 0.0)
    jvm = Planning(busy=busy)
    jvm.statements.update(others)
    worker = await opened(jvm, tmp_path)
    entry = Entry(Run(repl="repl", number=0, kind="spark", code="query"), 1000, 0, tmp_path)
    worker.submit(entry)
    working = asyncio.get_running_loop().create_task(worker.run())
    try:
        async with asyncio.timeout(10):
            while "livius-repl-0" not in jvm.statements:
                await asyncio.sleep(0.01)
            await worker.cancel(entry)
            while entry.finished is None:
                await asyncio.sleep(0.01)
    finally:
        working.cancel()
    assert entry.finished.outcome == "cancelled"
    assert (jvm.looks == Planning.LOOKS) is waits
    assert jvm.statements == {*others}
