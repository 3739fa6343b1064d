"""A Python repl: the process that runs a session's Python and SQL.

Forked from the zygote. Descriptors 1 and 2 are the repl's output pipe, so that what C code and
child processes print is caught too. Statements come over a control socket as JSON lines
``{"number", "kind", "code", "group"}`` and are answered by ``{"began": number}``, from when on a
SIGINT reaches their code, and by ``{"number", "outcome", …}`` once everything they printed is in
the pipe. Between statements, ``{"complete": code, "id"}`` asks for names. A line
``{"cancel": number}`` comes before each SIGINT that cancels: any other SIGINT is the user's own.
"""

from __future__ import annotations

import builtins
import getpass
import io
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

from livius_agent import carried, frames, java_errors, names, notebook, predefined, tasks
from livius_agent.accumulators import let_strangers_be
from livius_agent.answers import Answer, Exit, encode, failed
from livius_agent.packages import Packages
from livius_agent.sql import last_frame, run_sql
from livius_agent.streams import Streams
from livius_agent.threads import StartedThreads

_NO_INPUT: Final = "input() is not available in a session: nobody is there to type."
_LOOK: Final = socket.MSG_PEEK | socket.MSG_DONTWAIT
_NO_STOP: Final = "spark.stop() does nothing here: the session's driver ends with the session.\n"

_running = False
"""Whether a statement's code runs: a SIGINT at any other moment is late, and means nothing."""

_started = StartedThreads()
_control: socket.socket | None = None


def serve(request: Mapping[str, Any], control: int, pipe: int) -> None:
    """Run statements until the control socket ends. ``request`` says where the JVM listens."""
    global _control  # noqa: PLW0603 - the signal handler has to see it
    _control = socket.socket(fileno=os.dup(control))
    os.setsid()  # signals for this repl reach its children and nobody else
    streams = Streams(pipe)
    packages = Packages(Path(request["packages"]))
    packages.enter()
    os.chdir(request["cwd"])
    repl = Repl(request, streams, packages)
    with os.fdopen(control, "r+b", buffering=0) as raw:
        reader = io.BufferedReader(raw, 1024 * 1024)
        for line in reader:
            statement = json.loads(line)
            if "cancel" in statement:  # the statement has ended
                continue
            if "cwd" in statement:
                os.chdir(statement["cwd"])
                repl.read_conf()
                continue
            if "complete" in statement:
                found = repl.complete(statement["complete"])
                reply = json.dumps({"completed": statement["id"], "names": found})
                _write_all(raw, reply.encode() + b"\n")
                continue
            began = json.dumps({"began": statement["number"]}).encode() + b"\n"
            answer = encode(repl.run(statement, partial(_write_all, raw, began)), streams.say)
            streams.flush()
            _write_all(raw, answer)


def _write_all(raw: io.RawIOBase, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[raw.write(view) or 0 :]


def _on_interrupt(_number: int, _frame: FrameType | None) -> None:
    if _running:
        if _is_cancel():
            _started.interrupt()
        raise KeyboardInterrupt


def _is_cancel() -> bool:
    """Tell whether the agent has said so. While a statement runs, it sends nothing else."""
    try:
        return _control is not None and bool(_control.recv(1, _LOOK))
    except BlockingIOError:
        return False


class Repl:
    """The user's namespace, and what is outside of it."""

    def __init__(self, request: Mapping[str, Any], streams: Streams, packages: Packages) -> None:
        from livius_agent.magics import LivyMagics
        from livius_agent.shell import Printer, Shell

        self._row_limit = int(request["row_limit"])
        self._streams = streams
        self._process = os.getpid()
        self._handle, self._context, self._spark = _attach(request, packages.python)
        notebook.attach(self._handle)
        java_errors.attach(self._handle)
        carried.install()
        client = self._context._gateway._gateway_client  # noqa: SLF001 - there is no other way
        self._connections = carried.Connections(client, self._handle)
        self._shell = Shell.make(
            {**predefined.names(self._context, self._spark), "exit": Exit(), "quit": Exit()},
            Printer(streams.say, streams.flush),
        )
        self._shell.register_magics(LivyMagics(self._shell, packages, self._sql_bundle))
        builtins.input = getpass.getpass = _refuse_input

    def read_conf(self) -> None:
        """Take over what has become of the JVM's conf: PySpark copies it once."""
        from pyspark import SparkConf

        conf = SparkConf(_jvm=self._context._jvm, _jconf=self._context._jsc.getConf())  # noqa: SLF001
        self._context._conf = conf  # noqa: SLF001 - PySpark has no other way in
        self._context.appName = conf.get("spark.app.name")

    def complete(self, code: str) -> list[str]:
        """Return names that the user's objects propose for the end of the code. Never raises."""
        try:
            return names.complete(code, self._shell.user_ns)
        except Exception:  # noqa: BLE001 - of an object unlike all others
            return []

    def _sql_bundle(self, code: str) -> dict[str, Any] | None:
        frame = last_frame(self._spark, code, self._row_limit)
        return None if frame is None else frames.table_of(frame)

    def run(self, statement: Mapping[str, Any], began: Callable[[], None]) -> Answer:
        """Run one statement, telling when it has begun, and return its answer. Never raises."""
        global _running  # noqa: PLW0603 - the signal handler has to see it
        answer: Answer = {"number": statement["number"]}
        self._streams.restore()
        mine = carried.Statement(statement["group"])
        _started.begin(mine)
        before = tasks.unfinished(tasks.ipythons_loop())
        try:
            answer |= self._run(statement, mine, began)
        except KeyboardInterrupt as error:
            _running = False  # it may have come just before the line above
            answer |= failed(error)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the statement's answer
            answer |= failed(error)
        _started.end()
        if mine.cancelled:
            tasks.end_new(tasks.ipythons_loop(), before)
        if os.getpid() != self._process:
            self._leave()
        return answer

    def _run(
        self, statement: Mapping[str, Any], mine: carried.Statement, began: Callable[[], None]
    ) -> Answer:
        global _running  # noqa: PLW0603 - the signal handler has to see it
        # User code may have put its own handler there, and then nothing would cancel this one.
        signal.signal(signal.SIGINT, _on_interrupt)
        try:
            _running = True
            began()
            # Each statement sets the session and the job group again: an interrupted call leaves
            # its thread in the JVM behind, and another repl may have made its own session the
            # default.
            self._handle.begin(mine.group, statement["code"])
            self._connections.began(mine)
            if statement["kind"] == "sql":
                return run_sql(self._spark, statement["code"], self._row_limit, self._streams.say)
            answer: Answer = self._shell.run_statement(statement["code"], statement["number"])
            return answer
        finally:
            _running = False
            carried.run(None)

    def _leave(self) -> None:
        """End a child that user code forked and let run on: the statement is its parent's."""
        self._streams.flush()
        os._exit(0)


def _refuse_input(prompt: object = "", stream: object = None) -> str:
    del prompt, stream
    raise EOFError(_NO_INPUT)


def _attach(request: Mapping[str, Any], python: Path) -> tuple[Any, Any, Any]:
    """Join the driver's JVM through this repl's own py4j server."""
    from py4j import java_gateway
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_GATEWAY_PORT"] = str(request["port"])
    os.environ["PYSPARK_GATEWAY_SECRET"] = request["token"]
    gateway = launch_gateway()
    del os.environ["PYSPARK_GATEWAY_SECRET"]
    shared = gateway.entry_point
    java_context = shared.get("jsc")
    # It would install a handler of its own, which cancels the jobs of every repl.
    handler = signal.getsignal(signal.SIGINT)
    SparkContext._ensure_initialized(gateway=gateway)  # noqa: SLF001 - PySpark has no other way in
    conf = SparkConf(_jvm=gateway.jvm, _jconf=java_context.getConf())
    if java_context.isLocal():
        # Workers on other machines can't see our folders; they have a Python of their own.
        os.environ.setdefault("PYSPARK_PYTHON", str(python))
    let_strangers_be()
    context = SparkContext(gateway=gateway, jsc=java_context, conf=conf)
    signal.signal(signal.SIGINT, handler)
    spark = SparkSession(context, shared.get("spark"))

    def no_stop(*_: object) -> None:
        sys.stdout.write(_NO_STOP)

    SparkContext.stop = SparkSession.stop = no_stop
    # It logs each connection that it closes, if code configures logging.
    logging.getLogger("py4j").setLevel(logging.WARNING)
    # Of a call that is interrupted or fails it tells the root logger, which would then print for
    # ever. The caller gets the error anyway.
    java_gateway.logging = logging.getLogger("py4j.calls")
    java_gateway.logging.disabled = True
    _silence_errors()
    return shared.get("repl"), context, spark


def _silence_errors() -> None:
    """Keep PySpark 4 from printing each Spark error a second time, as a line of JSON."""
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:  # older ones don't print any
        return
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True
