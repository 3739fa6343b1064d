"""One repl: runs its statements one after the other, in whichever language each is.

How a statement is stopped depends on its kind: its Python process or Scala thread is interrupted
and the Spark jobs of its group are cancelled. If that does not help in the time that the operator
gives it, the Python process is ended, or the driver. It counts as cancelled only when its code has
truly stopped, and its Spark jobs too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from livius_agent.answers import TEXT_LIMIT, strict_json
from livius_agent.capture import OutputPipe
from livius_agent.cells import NO_CONFIGURE, is_configure, without_mark
from livius_agent.jvm import Jvm
from livius_agent.ledger import Entry
from livius_agent.mount import with_hint
from livius_agent.redact import Redactor, Secrets
from livius_agent.text import cut
from livius_agent.wire import MOST_JOBS, Finished
from livius_agent.zygote_client import PythonProcess, ReplEnded, Zygote

_log = logging.getLogger(__name__)
INTERRUPT_EVERY: Final = 1.0
_QUIET: Final = 1.0
_REACHED_SOON: Final = 0.02
_UNTOLD_PATIENCE: Final = 6
"""How many times the patience we wait for code that can't be interrupted yet."""
_JVM_ANSWERS_WITHIN: Final = 3.0
_ENDS_WITHIN: Final = {"python": 3.0, "tasks": 2.0, "planned": 1.0}
"""How long the answer of a cancelled statement waits for tasks of ended jobs.

Also for threads of Spark's own, which may work for others."""
_KILL_TASKS_AFTER: Final = 0.15
"""If a task outlives its cancelled job by this time, Spark lost the kill: send it again."""
_LOST_JVM: Final = re.compile(
    "Py4J(Network)?Error|ConnectionRefused|ConnectionReset|BrokenPipe|Connection refused"
    "|Connection reset|Broken pipe|Answer from Java side is empty|while calling \\S+$"
)
"""What a Python process says whose JVM may have ended. An error from within the JVM is none."""
_STILL_RUNS: Final = (
    " Spark was told to end its jobs too, but some of their tasks have not stopped yet."
)
_PROGRESS_AFTER: Final = 0.5
_PROGRESS_EVERY: Final = 1.0
_JVM_IS_SEEN_WITHIN: Final = 0.3
_LOOK_EVERY: Final = 0.01


class Unstoppable(Exception):
    """The driver had to be ended to stop a statement; the message is a sentence for people."""


class ReplWorker:
    """Implements one repl. ``changed`` is called whenever an entry has something to send."""

    def __init__(
        self,
        *,
        name: str,
        tap: OutputPipe,
        handle: Any,
        jvm: Jvm,
        zygote: Zygote,
        work: Path,
        lakehouse: str,
        row_limit: int,
        patience: float,
        secrets: Secrets,
        changed: Callable[[], None],
        progressed: Callable[[Entry, float], None],
        has_jobs: Callable[[Entry, str], None],
    ) -> None:
        self._jvm = jvm
        self._zygote = zygote
        self._secrets = secrets
        self._redactor = Redactor(secrets)
        self._changed = changed
        self._progressed = progressed
        self._has_jobs = has_jobs
        self._telling: set[asyncio.Task[None]] = set()
        self._tap = tap
        self._handle = handle
        self._packages = work / f"{name}.packages"
        self._request = {
            "port": handle.pythonPort(),
            "token": handle.pythonToken(),
            "cwd": lakehouse,
            "row_limit": row_limit,
            "packages": str(self._packages),
        }
        self._python: PythonProcess | None = None
        self._queue: asyncio.Queue[Entry] = asyncio.Queue()
        self._current: Entry | None = None
        self._cancelled: set[int] = set()
        self._killed = False
        self._has_made_scala = False
        self._stopping = False
        self._patience = patience
        self._force: asyncio.Future[None] | None = None
        """Of the running statement; done when it has ended, or only the driver's end stops it."""

    @classmethod
    async def open(cls, *, name: str, jvm: Jvm, work: Path, **more: Any) -> ReplWorker:
        """Open a repl in the JVM. What else it needs, `ReplWorker` names."""
        tap = OutputPipe(work / f"{name}.pipe")
        try:
            handle = await asyncio.to_thread(jvm.driver.openRepl, name, str(tap.path))
        except BaseException:
            tap.close()
            raise
        return cls(name=name, tap=tap, handle=handle, jvm=jvm, work=work, **more)

    async def close(self, running: asyncio.Task[None]) -> None:
        """Stop what it runs, as a cancel does, and release all that it has.

        ``running`` is the task of `run`.
        """
        if self._current is not None:
            await self.cancel(self._current)
        running.cancel()
        await asyncio.wait((running,))
        if self._python is not None:
            self._python.kill()
            self._python.close()
        await asyncio.to_thread(self._handle.close)
        self._tap.close()
        await asyncio.to_thread(shutil.rmtree, self._packages, ignore_errors=True)

    def move(self, lakehouse: str) -> None:
        """Run statements in another folder from now on."""
        self._request["cwd"] = lakehouse
        if self._python is not None:
            self._python.move(lakehouse)

    async def warm_up(self) -> None:
        """Start all that first statements would wait for. To be called before `run`."""
        with suppress(ReplEnded):
            await self._ensure_python()
        self._has_made_scala = True
        await asyncio.to_thread(self._handle.practiseScala)

    def submit(self, entry: Entry) -> None:
        """Queue a statement."""
        self._queue.put_nowait(entry)

    async def complete(self, kind: str, code: str) -> Sequence[str]:
        """Return names for the end of the code: none while a statement runs, which goes first."""
        is_busy = self._current is not None or not self._queue.empty()
        if kind != "pyspark" or is_busy or self._python is None:
            return ()
        return await self._python.complete(code)

    def stop_session(self) -> bool:
        """Tell the session's end with that of the running statement; False where none runs."""
        self._stopping = self._current is not None
        return self._stopping

    async def run(self, *, warm: bool = False) -> None:
        """Run statements until one wants the session's end.

        With ``warm``, the Scala interpreter is made before it is asked for.
        """
        with suppress(ReplEnded):  # the first statement tries again, and tells
            await self._ensure_python()  # so that it finds it waiting
        self._has_made_scala = self._has_made_scala or not warm
        while not self._stopping:
            await self._attend(await self._next())
        await asyncio.get_running_loop().create_future()  # the gateway ends us

    async def _next(self) -> Entry:
        """Wait for a statement; in the first quiet moment, begin to make the Scala interpreter.

        That takes seconds of processor time, and most sessions use Scala sooner or later. But a
        first statement in another language need not share the processor with it.
        """
        if not self._has_made_scala:
            with suppress(TimeoutError):
                async with asyncio.timeout(_QUIET):
                    return await self._queue.get()
            self._has_made_scala = True
            await asyncio.to_thread(self._handle.warmScala)
        return await self._queue.get()

    async def _attend(self, entry: Entry) -> None:
        if entry.run.number in self._cancelled:
            self._finish(entry, _cancelled("The statement was cancelled before it started."))
            return
        self._current = entry
        self._jvm.statements.add(group_of(entry))

        def sink(text: str) -> None:
            entry.append(self._redactor.feed(text))
            self._changed()

        self._tap.begin(sink)
        loop = asyncio.get_running_loop()
        self._force = loop.create_future()
        watching = loop.create_task(self._watch_progress(entry))
        running = loop.create_task(self._execute(entry))
        either: set[asyncio.Future[Any]] = {running, self._force}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                self._end_output(entry)
                self._end_driver(entry)
            answer = await running
            if self._secrets and "data" in answer:  # the whole of it is searched
                answer["data"] = await asyncio.to_thread(self._secrets.json, answer["data"])
            still_runs = ""
            if entry.run.number in self._cancelled:
                still_runs = await self._until_quiet(entry)
        finally:
            watching.cancel()
            running.cancel()
            self._current = None
            self._jvm.statements.discard(group_of(entry))
            if not self._force.done():
                self._force.set_result(None)
        self._end_output(entry)
        if entry.run.number in self._cancelled and answer["outcome"] == "error":
            # The interrupt, or what became of it: a cancelled Spark job is an error of its own.
            answer = _cancelled("The statement was cancelled: its code was interrupted.")
        if still_runs and answer["outcome"] == "cancelled":
            answer["evalue"] += still_runs
        self._finish(entry, answer)

    def _end_output(self, entry: Entry) -> None:
        self._tap.end()
        entry.append(self._redactor.end())

    def _end_driver(self, entry: Entry) -> NoReturn:
        """End the JVM: nothing less stops its code, which by then has truly stopped."""
        # Nothing may come in between, or the end of the JVM would look like an accident.
        self._jvm.process.kill()
        self._jvm.process.wait()
        sentence = (
            f"A cancelled Scala statement did not stop within {self._patience:g} seconds of being "
            "interrupted, so the session's Spark driver was ended."
        )
        self._finish(entry, _cancelled(f"{sentence} Create a new session."))
        raise Unstoppable(f"{sentence} Create a new session.")

    async def _until_quiet(self, entry: Entry) -> str:
        """Wait until no Spark job or task of a cancelled statement is left, within our patience.

        Return a sentence for people if something is. The JVM ends it also after that.
        """
        group, loop = group_of(entry), asyncio.get_running_loop()
        began = loop.time()
        kill_at = began + _KILL_TASKS_AFTER
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                while True:
                    left = await asyncio.to_thread(self._jvm.driver.left, group)
                    now = loop.time()
                    if left == "nothing":
                        return ""
                    if now - began > _ENDS_WITHIN.get(left, self._patience):
                        if left != "planned":
                            return _STILL_RUNS
                        if await self._others_work(group):
                            return ""
                    if left == "jobs":
                        await self._stop_in_jvm(group)
                    elif left != "planned" and now >= kill_at:
                        await asyncio.to_thread(self._jvm.driver.killTasks, group)
                        kill_at = now + _KILL_TASKS_AFTER
                    await asyncio.sleep(_LOOK_EVERY)
        return _STILL_RUNS

    async def _others_work(self, group: str) -> bool:
        """Tell whether threads of Spark's own may work for anything but this statement.

        If not, a busy one is about to begin a job of it, on a slow machine after seconds.
        """
        return self._jvm.statements != {group} or await asyncio.to_thread(self._jvm.driver.isBusy)

    def _finish(self, entry: Entry, answer: dict[str, Any]) -> None:
        self._cancelled.discard(entry.run.number)
        answer = self._secrets.value(answer)
        entry.finish(
            Finished(
                repl=entry.run.repl,
                number=entry.run.number,
                seq=entry.seq,
                size=entry.size,
                outcome=answer["outcome"],
                with_text=answer.get("with_text", True),
                ename=answer.get("ename"),
                evalue=with_hint(answer.get("evalue")),
                traceback=tuple(answer.get("traceback", ())),
                stop=self._stopping,
            ),
            bytes(answer.get("data", b"")),
        )
        self._changed()
        # After the end has been reported, which does not wait for it.
        telling = asyncio.get_running_loop().create_task(self._tell_jobs(entry, is_last=True))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _execute(self, entry: Entry) -> dict[str, Any]:
        group, code = group_of(entry), without_mark(entry.run.code)
        if is_configure(code):
            name = "UsageError" if entry.run.kind == "pyspark" else "Error"
            return {"outcome": "error", "ename": name, "evalue": NO_CONFIGURE}
        if entry.run.kind == "spark":
            return await asyncio.to_thread(self._run_scala, code, group)
        python = None
        try:
            python = await self._ensure_python()
            answer = await python.run(
                {
                    "number": entry.run.number,
                    "kind": entry.run.kind,
                    "code": code,
                    "group": group,
                }
            )
        except ReplEnded as ended:
            self._python = None
            if python is not None:
                python.close()
            await self._unless_jvm_ended()
            if self._killed:
                self._killed = False
                return _cancelled(
                    f"The statement did not stop within {self._patience:g} seconds of being "
                    "interrupted, so its Python process was ended. Its variables are lost; the "
                    "next statement starts a fresh one."
                )
            return {"outcome": "error", "ename": "ReplEnded", "evalue": str(ended)}
        if answer["outcome"] == "error" and _LOST_JVM.search(
            f"{answer['ename']} {answer['evalue']}"
        ):
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
            return {"outcome": "ok", "data": strict_json(json.loads(result.data()))}
        if status == "interrupted":
            return _cancelled("The statement was cancelled: its code was interrupted.")
        return {
            "outcome": "error",
            "ename": result.ename(),
            "evalue": cut(result.evalue(), TEXT_LIMIT),
            "traceback": [cut(line, TEXT_LIMIT) for line in result.traceback()],
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
            await self._tell_jobs(entry, is_last=False)
            await asyncio.sleep(_PROGRESS_EVERY)

    async def reported(self) -> None:
        """Return when all ends of statements have been reported."""
        while self._telling:
            await asyncio.wait(self._telling)

    async def _tell_jobs(self, entry: Entry, *, is_last: bool) -> None:
        """Tell of a statement's Spark jobs, if it has any. The last time is after its end."""
        try:
            found = await asyncio.to_thread(
                self._jvm.driver.jobs, group_of(entry), MOST_JOBS, is_last
            )
        except Exception:  # noqa: BLE001 - of a JVM that has ended; others report that
            return
        if not found:
            return
        try:
            self._has_jobs(entry, found)
        except Exception:  # noqa: BLE001 - logged; the next look must come all the same
            _log.exception("The jobs of a statement can't be described")

    async def cancel(self, entry: Entry) -> None:
        """Stop a statement, and insist. Returns when it has stopped, or its end is certain.

        Its time to end by itself begins when its code has got the interrupt. While it is compiled,
        or its process still starts, there is nobody to tell; that may take longer, but not for
        ever.
        """
        if entry.finished is not None:
            return
        self._cancelled.add(entry.run.number)
        loop = asyncio.get_running_loop()
        asked_at, told_at = loop.time(), 0.0
        while self._current is entry and self._force is not None:
            told = await self._interrupt(entry)
            told_at = told_at or (loop.time() if told else 0.0)
            late = told_at and loop.time() - told_at >= self._patience
            if late or loop.time() - asked_at >= self._patience * _UNTOLD_PATIENCE:
                self._end_by_force(entry)
                return
            pause = INTERRUPT_EVERY if told else _REACHED_SOON
            await asyncio.wait({self._force}, timeout=min(pause, self._patience))

    async def _interrupt(self, entry: Entry) -> bool:
        """Tell the statement's code to stop; return whether it has been reached.

        The JVM may hang: neither Python's signal nor our patience may wait for it.
        """
        told = False
        if entry.run.kind != "spark" and self._python is not None:
            told = self._python.interrupt(entry.run.number)
        reached = await self._stop_in_jvm(group_of(entry))
        return reached if entry.run.kind == "spark" else told

    async def _stop_in_jvm(self, group: str) -> bool:
        """Stop what the JVM does for a statement; return whether Scala code has been reached."""
        stopping = asyncio.to_thread(self._handle.cancel, group)
        try:
            async with asyncio.timeout(min(_JVM_ANSWERS_WITHIN, self._patience)):
                return bool(await stopping)
        except TimeoutError:
            return True
        except Exception:  # noqa: BLE001 - of a JVM that has ended; others report that
            return True

    def _end_by_force(self, entry: Entry) -> None:
        if self._current is not entry or self._force is None:
            return
        if entry.run.kind != "spark" and self._python is not None:
            self._killed = True
            self._python.kill()
        elif not self._force.done():
            self._force.set_result(None)


def group_of(entry: Entry) -> str:
    """Return the name of the Spark job group of a statement."""
    return f"livius-{entry.run.repl}-{entry.run.number}"


def _cancelled(sentence: str) -> dict[str, Any]:
    return {"outcome": "cancelled", "ename": "Cancelled", "evalue": sentence}
