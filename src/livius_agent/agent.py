"""The agent: brings up one driver, joins it to the gateway, and ends with it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from livius_agent import fitting
from livius_agent import jvm as java
from livius_agent.gateway_requests import GatewayRequests
from livius_agent.ledger import Entry, Ledger
from livius_agent.link import Link, ToAgent, Unwanted
from livius_agent.postmortem import Postmortem
from livius_agent.practice import Statement, practise
from livius_agent.redact import HANDED_OUT, Secrets
from livius_agent.spec import DRIVER_SPEC, SECRET, WORK, DriverSpec, read
from livius_agent.wire import (
    LONGEST_LINE,
    Answer,
    Bind,
    Cancel,
    CloseRepl,
    Complete,
    Completed,
    Failing,
    Heap,
    Jobs,
    OpenRepl,
    Progress,
    Ready,
    ReplClosed,
    ReplReady,
    Run,
)
from livius_agent.worker import ReplWorker, Unstoppable
from livius_agent.zygote_client import Zygote

_SAY_WITHIN: Final = 2.0
_LOOK_AT_BACKGROUND_EVERY: Final = 1.0
"""More often than the beats that report it, or a short idle time could end the session between."""
_JVM_IS_SEEN_WITHIN: Final = 0.3
_LONGEST_REASON: Final = 2000
_WARM_UP: Final = "warm-up"
_TABLE: Final = "default.livius_warm_up"
_ROUNDS: Final = 3
"""So often the warm-up does its work: Java compiles what was called often (docs/decisions/0023)."""
_WARM_UP_STATEMENTS: Final[tuple[Statement, ...]] = (
    ("sql", "drop table if exists {table}"),
    ("sql", "create table {table} (id bigint, name string) using delta location '{place}'"),
    ("sql", "insert into {table} values (1, 'a'), (2, 'b')"),
    (
        "sql",
        "select name, round(avg(id), 2) as mean from {table} where id > 0 group by 1 order by 1",
    ),
    ("pyspark", "spark.table('{table}').limit(5).toPandas()"),
    ("pyspark", "spark.table('{table}').groupBy('name').count().show()"),
    ("spark", "1 + 1"),
    (
        "spark",
        'spark.sql("select name, count(*), round(avg(id), 2) from {table} group by 1").show()',
    ),
    ("sql", "drop table {table}"),
)
_COMPLETIONS: Final = 4
_THREADS: Final = 64
"""Threads for calls into the JVM. Each waits until its statement ends; cancels need others."""


class StartFailed(Exception):
    """Spark did not start; the message is a sentence for people."""


class Agent:
    """One driver's agent. ``folder`` is the driver's (see `livius_agent.spec`)."""

    def __init__(self, folder: Path, spec: DriverSpec, secret: str) -> None:
        self._folder = folder
        self._work = folder / WORK
        self._spec = spec
        spool = self._work / "spool"
        spool.mkdir(mode=0o700, exist_ok=True)
        self._ledger = Ledger(
            limit=spec.output_limit_bytes, reserve=spec.disk_reserve_bytes, folder=spool
        )
        self._link = Link(
            driver=spec.driver,
            secret=secret,
            address_file=Path(spec.address_file),
            lease_seconds=spec.lease_seconds,
            ledger=self._ledger,
            on_message=self._on_message,
        )
        self._workers: dict[str, ReplWorker] = {}
        self._asks: GatewayRequests | None = None
        self._secrets = Secrets(self._work / HANDED_OUT)
        self._waiting: dict[str, list[Entry]] = {}
        """Statements of repls that are not open yet."""
        self._closed: set[str] = set()
        self._wishes: asyncio.Queue[OpenRepl | CloseRepl] = asyncio.Queue()
        self._jvm: java.Jvm
        self._lakehouse = spec.lakehouse_root or str(java.unbound_folder(self._work))
        self._bound: asyncio.Future[Bind] = asyncio.get_running_loop().create_future()
        self._cancels: set[asyncio.Task[None]] = set()
        self._completions: set[asyncio.Task[None]] = set()
        self._background = False
        self._link.busy = lambda: self._background
        self._heap: Heap | None = None
        self._link.heap = lambda: self._heap
        # Both processes are started before any thread is.
        heap = [o.removeprefix("-Xmx") for o in spec.java_options if o.startswith("-Xmx")]
        self._autopsy = Postmortem(folder, heap[-1] if heap else "of Java's own choice")
        self._java = java.launch(spec, self._work)
        self._zygote = Zygote(self._work)

    async def run(self) -> int:
        """Work until the driver ends, in whichever way; return the exit code."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="jvm-call"))
        stopped = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        loop.add_signal_handler(signal.SIGINT, stopped.set)
        tasks = {
            loop.create_task(work, name=name)
            for name, work in (
                ("link", self._link.run()),
                ("zygote", self._zygote.run()),
                ("spark", self._serve()),
                ("stop", stopped.wait()),
            )
        }
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        code = await self._explain(done)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return code

    async def _explain(self, done: set[asyncio.Task[Any]]) -> int:
        """Tell the gateway why the driver ends, unless it knows."""
        failures = [error for task in done if (error := task.exception()) is not None]
        names = {task.get_name() for task in done}
        if "stop" in names or any(isinstance(error, Unwanted) for error in failures):
            sys.stderr.writelines(f"{error}\n" for error in failures)
            return 0
        reason = await self._reason(failures)
        log = tuple(map(self._secrets.text, self._autopsy.log()))
        self._link.say(fitting.failing(Failing(reason=self._secrets.text(reason), log=log)))
        await self._link.delivered(_SAY_WITHIN)
        sys.stderr.write(f"{reason}\n")
        return 1

    async def _reason(self, failures: list[BaseException]) -> str:
        """Return the sentence for people: the JVM's end, if it has ended, is behind all else.

        Unless we ended it ourselves.
        """
        leaves = [leaf for failure in failures for leaf in _leaves(failure)]
        for leaf in leaves:
            if isinstance(leaf, Unstoppable):
                return str(leaf)
        with suppress(TimeoutError):
            async with asyncio.timeout(_JVM_IS_SEEN_WITHIN):
                code = await java.ended(self._java)
                return self._autopsy.of_jvm(code, served=bool(self._workers))
        return f"The driver's agent failed: {leaves[0]}" if leaves else "The driver's agent ended."

    async def _serve(self) -> None:
        """Bring Spark up and serve it until the JVM ends.

        Raises:
            StartFailed, JvmEnded: it did not come up, or has ended.
        """
        jvm = self._jvm = await self._start()
        first = await self._open(self._spec.repl)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve_session(group, first), name="session")
            raise java.JvmEnded(await java.ended(jvm.process))

    async def _serve_session(self, group: asyncio.TaskGroup, first: ReplWorker) -> None:
        """Say that Spark runs, once the driver has a session, and see to what that wants."""
        if self._spec.lakehouse_root is None:
            await self._become_bound(first)
        driver = self._jvm.driver
        asks = self._asks = GatewayRequests(driver, self._link.say, self._stops, self._secrets.add)
        self._link.unanswered = asks.__iter__
        ready = msgspec.json.decode(await asyncio.to_thread(driver.description), type=Ready)
        python = ".".join(map(str, sys.version_info[:3]))
        versions = {**ready.versions, "python": python}
        self._link.ready(msgspec.structs.replace(ready, versions=versions))
        running = group.create_task(first.run(warm=True), name="repl")
        group.create_task(self._open_and_close(group, running), name="repls")
        group.create_task(asks.run(), name="asks")
        group.create_task(self._watch_background(self._jvm), name="background")

    async def _become_bound(self, first: ReplWorker) -> None:
        """Warm up as a driver of the pool, wait for a session, and become its driver."""
        await first.warm_up()
        await self._warm_up()
        self._link.warmed()
        to = await self._bound
        await asyncio.to_thread(java.bind, self._jvm, self._work, to)
        first.move(to.lakehouse_root)

    async def _warm_up(self) -> None:
        """Do some work of each kind, of which nothing is seen later."""
        worker = await self._open_worker(
            _WARM_UP,
            changed=lambda: None,
            progressed=lambda *_: None,
            has_jobs=lambda *_: None,
        )
        running = asyncio.get_running_loop().create_task(worker.run())
        try:
            table = self._work / _WARM_UP
            statements = _warm_up_statements(table) * _ROUNDS
            await practise(worker, _WARM_UP, self._work, statements)
        except BaseException:  # the driver ends
            running.cancel()
            raise
        await worker.close(running)
        await asyncio.to_thread(self._jvm.driver.rehearse)

    async def _open_and_close(self, group: asyncio.TaskGroup, first: asyncio.Task[None]) -> None:
        """Open and close repls as the gateway wishes; the first one is open."""
        running = {self._spec.repl: first}
        while True:
            wish = await self._wishes.get()
            name = wish.repl
            if isinstance(wish, CloseRepl) and name in running:
                # Not waited for: its siblings open and close meanwhile.
                group.create_task(self._close(name, running.pop(name)), name="close")
            elif isinstance(wish, CloseRepl) or name in self._closed:
                self._closed.add(name)
                self._link.say(ReplClosed(repl=name))
            elif name in running:
                self._link.say(ReplReady(repl=name))
            else:
                try:
                    worker = await self._open(name)
                except Exception as error:  # noqa: BLE001 - reported; the other repls go on
                    self._closed.add(name)
                    reason = f"The repl could not be opened: {_first_line(error)}"
                    self._link.say(ReplClosed(repl=name, reason=reason[:_LONGEST_REASON]))
                else:
                    running[name] = group.create_task(worker.run(), name="repl")
                    self._link.say(ReplReady(repl=name))

    async def _open(self, name: str) -> ReplWorker:
        """Open a repl, and give it the statements that came before it."""
        worker = await self._open_worker(
            name,
            changed=self._link.changed,
            progressed=self._progressed,
            has_jobs=self._has_jobs,
        )
        self._workers[name] = worker
        for entry in self._waiting.pop(name, ()):
            worker.submit(entry)
        return worker

    async def _open_worker(self, name: str, **reports: Any) -> ReplWorker:
        return await ReplWorker.open(
            name=name,
            jvm=self._jvm,
            zygote=self._zygote,
            work=self._work,
            lakehouse=self._lakehouse,
            row_limit=self._spec.sql_row_limit,
            patience=self._spec.cancel_seconds,
            secrets=self._secrets,
            **reports,
        )

    async def _close(self, name: str, running: asyncio.Task[None]) -> None:
        """Close a repl. Its statements have ended for the gateway, so no end of theirs is sent."""
        worker = self._workers.pop(name)
        self._closed.add(name)
        await worker.close(running)
        for entry in self._ledger:
            if entry.run.repl == name:
                self._ledger.forget(entry)
        self._link.say(ReplClosed(repl=name))

    async def _start(self) -> java.Jvm:
        try:
            return await java.connect(self._java, self._spec, self._work)
        except java.JvmEnded:
            raise
        except Exception as error:
            if (code := self._java.poll()) is not None:
                raise java.JvmEnded(code) from error
            raise StartFailed(f"Spark did not start: {_first_line(error)}") from error

    async def _watch_background(self, jvm: java.Jvm) -> None:
        """Notice the heap, and streams and jobs of threads left running: the driver is busy."""
        while True:
            self._background = await asyncio.to_thread(jvm.driver.isBusy)
            used, limit = map(int, (await asyncio.to_thread(jvm.driver.heap)).split())
            self._heap = Heap(used=used, limit=limit)
            await asyncio.sleep(_LOOK_AT_BACKGROUND_EVERY)

    def _stops(self, repl: str) -> bool:
        """Have the session end with the statement that runs in a repl; tell whether one does."""
        worker = self._workers.get(repl)
        return worker is not None and worker.stop_session()

    async def _on_message(self, message: ToAgent) -> None:
        match message:
            case OpenRepl() | CloseRepl():
                self._wishes.put_nowait(message)
            case Bind():
                if not self._bound.done():
                    self._lakehouse = message.lakehouse_root
                    self._bound.set_result(message)
            case Answer():
                if self._asks is not None:
                    self._asks.answered(message)
            case Complete():
                self._completing(message)
            case Run():
                self._running(message)
            case Cancel():
                known = self._ledger.get(message.repl, message.number)
                worker = self._workers.get(message.repl)
                if known is not None and worker is not None:
                    self._cancelling(worker, known)

    def _running(self, message: Run) -> None:
        entry = self._ledger.take(message)
        if entry is None:
            return  # Seen before: the ledger sends its reports.
        worker = self._workers.get(message.repl)
        if worker is None:
            self._waiting.setdefault(message.repl, []).append(entry)
        else:
            worker.submit(entry)

    def _cancelling(self, worker: ReplWorker, entry: Entry) -> None:
        task = asyncio.get_running_loop().create_task(worker.cancel(entry), name="cancel")
        self._cancels.add(task)
        task.add_done_callback(self._cancels.discard)

    def _completing(self, message: Complete) -> None:
        worker = self._workers.get(message.repl)
        if worker is None or len(self._completions) >= _COMPLETIONS:
            self._link.say(Completed(id=message.id))
            return

        async def work() -> None:
            found = await worker.complete(message.kind, message.code[-LONGEST_LINE:])
            self._link.say(Completed(id=message.id, names=tuple(found)))

        task = asyncio.get_running_loop().create_task(work(), name="complete")
        self._completions.add(task)
        task.add_done_callback(self._completions.discard)

    def _progressed(self, entry: Entry, share: float) -> None:
        entry.seq += 1
        repl, number = entry.key
        self._link.say(Progress(repl=repl, number=number, seq=entry.seq, value=share))

    def _has_jobs(self, entry: Entry, described: str) -> None:
        repl, number = entry.key
        found = msgspec.convert({"repl": repl, "number": number, **json.loads(described)}, Jobs)
        self._link.say(fitting.jobs(msgspec.structs.replace(found, heap=self._heap)))

    def end(self) -> None:
        """End Java and the zygote; the supervisor sees to the rest."""
        java.kill(self._java)
        self._zygote.kill()


def _warm_up_statements(folder: Path) -> tuple[Statement, ...]:
    """Return what a driver of the pool has done before it waits: a table's life, by each kind.

    The table is in the database that no lakehouse has. One that a killed driver left is dropped.
    """
    place = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return tuple(
        (kind, code.format(table=_TABLE, place=place))  # no user's text is in it
        for kind, code in _WARM_UP_STATEMENTS
    )


def _first_line(error: Exception) -> str:
    """Return the sentence of an error: those of py4j carry the whole Java trace after it."""
    lines = [line for line in str(error).splitlines() if line.strip(" :")]
    first = next((line for line in lines if "Exception" in line or "Error" in line), "")
    return (first or (lines or [type(error).__name__])[0]).strip(" :")


def _leaves(error: BaseException) -> list[BaseException]:
    """Return the errors that an error of a task group is made of."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def main(folder: Path) -> int:
    """Run the agent of a driver's folder."""
    spec = read(folder / DRIVER_SPEC, DriverSpec)
    if spec is None:
        sys.stderr.write(f"There is no {DRIVER_SPEC} in {folder}.\n")
        return 2
    secret_file = folder / WORK / SECRET
    secret = secret_file.read_text(encoding="ascii").strip()
    secret_file.unlink()
    # py4j would print the trace of each call that a dying JVM leaves unanswered.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(lambda record: "py4j" not in record.pathname)
    return asyncio.run(_run(folder, spec, secret))


async def _run(folder: Path, spec: DriverSpec, secret: str) -> int:
    agent = Agent(folder, spec, secret)
    try:
        return await agent.run()
    finally:
        agent.end()
