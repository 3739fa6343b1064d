"""One repl: runs its statements one after the other, in whichever language each is.

How a statement is stopped depends on its kind: the Spark jobs of its group are cancelled, then the
Python process is interrupted, and ended if that does not help; a Scala thread is interrupted. It
counts as cancelled only when its code has truly stopped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from livius_agent.capture import Tap
from livius_agent.forks import PythonProcess, ReplEnded, Zygote
from livius_agent.jvm import Jvm
from livius_agent.ledger import Entry
from livius_agent.mount import with_hint
from livius_agent.wire import Finished

INTERRUPT_EVERY: Final = 1.0
KILL_AFTER: Final = 10.0
_PROGRESS_AFTER: Final = 0.5
_PROGRESS_EVERY: Final = 1.0
_JVM_IS_SEEN_WITHIN: Final = 0.3
_LOOK_EVERY: Final = 0.02


class ReplWorker:
    """Implements one repl. ``changed`` is called whenever an entry has something to send."""

    def __init__(
        self,
        *,
        name: str,
        jvm: Jvm,
        zygote: Zygote,
        work: Path,
        lakehouse: str,
        row_limit: int,
        changed: Callable[[], None],
        progressed: Callable[[Entry, float], None],
    ) -> None:
        self._jvm = jvm
        self._zygote = zygote
        self._changed = changed
        self._progressed = progressed
        self._tap = Tap(work / f"{name}.pipe")
        self._handle = jvm.driver.openRepl(name, str(self._tap.path))
        self._request = {
            "port": self._handle.pythonPort(),
            "token": self._handle.pythonToken(),
            "cwd": lakehouse,
            "row_limit": row_limit,
        }
        self._python: PythonProcess | None = None
        self._queue: asyncio.Queue[Entry] = asyncio.Queue()
        self._current: Entry | None = None
        self._cancelled: set[int] = set()
        self._killed = False

    def submit(self, entry: Entry) -> None:
        """Queue a statement."""
        self._queue.put_nowait(entry)

    async def run(self) -> None:
        """Run statements for ever."""
        await self._ensure_python()  # so that the first statement finds it waiting
        # The compiler takes seconds to come up; most sessions are asked for Scala sooner or later.
        await asyncio.to_thread(self._handle.warmScala)
        while True:
            await self._attend(await self._queue.get())

    async def _attend(self, entry: Entry) -> None:
        if entry.run.number in self._cancelled:
            self._finish(entry, _cancelled("The statement was cancelled before it started."))
            return
        self._current = entry

        def sink(text: str) -> None:
            entry.append(text)
            self._changed()

        self._tap.begin(sink)
        loop = asyncio.get_running_loop()
        watching = loop.create_task(self._watch_progress(entry))
        try:
            answer = await self._execute(entry)
        finally:
            watching.cancel()
            self._current = None
        self._tap.end()
        if entry.run.number in self._cancelled and answer["outcome"] == "error":
            # A cancelled Spark job surfaces as an error of its own; the code has stopped.
            answer = _cancelled("The statement was cancelled.") | {
                "traceback": answer.get("traceback", [])
            }
        self._finish(entry, answer)

    def _finish(self, entry: Entry, answer: dict[str, Any]) -> None:
        self._cancelled.discard(entry.run.number)
        entry.finish(
            Finished(
                repl=entry.run.repl,
                number=entry.run.number,
                seq=entry.seq,
                size=entry.size,
                outcome=answer["outcome"],
                with_text=answer.get("with_text", True),
                data=answer.get("data"),
                ename=answer.get("ename"),
                evalue=with_hint(answer.get("evalue")),
                traceback=tuple(answer.get("traceback", ())),
            )
        )
        self._changed()

    async def _execute(self, entry: Entry) -> dict[str, Any]:
        group = group_of(entry)
        if entry.run.kind == "spark":
            return await asyncio.to_thread(self._run_scala, entry.run.code, group)
        python = await self._ensure_python()
        try:
            answer = await python.run(
                {
                    "number": entry.run.number,
                    "kind": entry.run.kind,
                    "code": entry.run.code,
                    "group": group,
                }
            )
        except ReplEnded as ended:
            self._python = None
            python.close()
            await self._unless_jvm_ended()
            if self._killed:
                self._killed = False
                return _cancelled(
                    "The statement did not stop when interrupted, so its Python process was ended. "
                    "Its variables are lost; the next statement starts a fresh one."
                )
            return {"outcome": "error", "ename": "ReplEnded", "evalue": str(ended)}
        if str(answer.get("ename")).startswith("Py4J"):
            await self._unless_jvm_ended()
        return answer

    async def _unless_jvm_ended(self) -> None:
        """Wait for ever if the JVM is gone: the driver ends, and that is the true reason.

        A Python process whose JVM has just been killed may be the first to be noticed.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _JVM_IS_SEEN_WITHIN
        while loop.time() < until:
            if self._jvm.process.poll() is not None:
                await loop.create_future()
            await asyncio.sleep(_LOOK_EVERY)

    def _run_scala(self, code: str, group: str) -> dict[str, Any]:
        result = self._handle.runScala(code, group)
        status = result.status()
        if status == "ok":
            return {"outcome": "ok", "data": json.loads(result.data())}
        if status == "interrupted":
            return _cancelled("The statement was cancelled.")
        return {
            "outcome": "error",
            "ename": result.ename(),
            "evalue": result.evalue(),
            "traceback": list(result.traceback()),
        }

    async def _ensure_python(self) -> PythonProcess:
        if self._python is None or self._python.ended.done():
            self._python = await self._zygote.fork(self._request, self._tap.path)
        return self._python

    async def _watch_progress(self, entry: Entry) -> None:
        """Tell the share of tasks done of a statement that takes a while."""
        await asyncio.sleep(_PROGRESS_AFTER)
        last = 0.0
        while True:
            share = await asyncio.to_thread(self._jvm.driver.progress, group_of(entry))
            if share > last:
                last = share
                self._progressed(entry, share)
            await asyncio.sleep(_PROGRESS_EVERY)

    async def cancel(self, entry: Entry) -> None:
        """Stop a statement, and insist. Returns when it has stopped, or can't be."""
        if entry.finished is not None:
            return
        self._cancelled.add(entry.run.number)
        if self._current is not entry:
            return  # It waits, and will be answered when its turn comes.
        loop = asyncio.get_running_loop()
        kill_at = loop.time() + KILL_AFTER
        while self._current is entry:
            await asyncio.to_thread(self._interrupt, entry)
            if entry.run.kind != "spark" and loop.time() >= kill_at and self._python is not None:
                self._killed = True
                self._python.kill()
            await asyncio.sleep(INTERRUPT_EVERY)

    def _interrupt(self, entry: Entry) -> None:
        self._jvm.driver.cancelGroup(group_of(entry))
        if self._current is not entry:
            return
        if entry.run.kind == "spark":
            self._handle.interruptScala()
        elif self._python is not None:
            self._python.interrupt()


def group_of(entry: Entry) -> str:
    """Return the name of the Spark job group of a statement."""
    return f"livius-{entry.run.repl}-{entry.run.number}"


def _cancelled(sentence: str) -> dict[str, Any]:
    return {"outcome": "cancelled", "ename": "Cancelled", "evalue": sentence}
