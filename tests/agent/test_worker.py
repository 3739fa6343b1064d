"""The order in which a repl does its work."""

import asyncio
import itertools
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


async def test_the_interpreter_is_made_in_the_first_quiet_moment_and_statements_come_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET", 0.05)
    jvm: Any = Jvm()
    worker = await ReplWorker.open(
        name="repl", jvm=jvm, zygote=SimpleNamespace(fork=fork), work=tmp_path,
        lakehouse="", row_limit=1, patience=1, secrets=Secrets(), changed=lambda: None,
        progressed=lambda *_: None, has_jobs=lambda *_: None,
    )  # fmt: skip
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
