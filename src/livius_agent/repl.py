"""A Python repl: the process that runs a session's Python and SQL.

Forked from the zygote. Descriptors 1 and 2 are the repl's output pipe, so that what C code and
child processes print is caught too. Statements come over a control socket as JSON lines
``{"number", "kind", "code", "group"}`` and are answered by ``{"began": number}``, from when on a
SIGINT reaches their code, and by ``{"number", "outcome", …}`` once everything they printed is in
the pipe.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any, Final

from livius_agent.sql import run_sql
from livius_agent.threads import StartedThreads

_NO_INPUT: Final = "input() is not available in a session: nobody is there to type."
_NO_EXIT: Final = "exit() does nothing here. Delete the session to end it."
_NO_STOP: Final = "spark.stop() does nothing here: the session's driver ends with the session.\n"

_running = False
"""Whether a statement's code runs: a SIGINT at any other moment is late, and means nothing."""

_started = StartedThreads()


class ExitRefused(Exception):
    """What ``exit()`` and ``sys.exit()`` become."""


def serve(request: Mapping[str, Any], control: int, pipe: int) -> None:
    """Run statements until the control socket ends. ``request`` says where the JVM listens."""
    _redirect(pipe)
    os.chdir(request["cwd"])
    repl = Repl(request)
    with os.fdopen(control, "r+b", buffering=0) as raw:
        reader = io.BufferedReader(raw, 1024 * 1024)
        for line in reader:
            answer = repl.run(json.loads(line), lambda began: _write_line(raw, began))
            _write_line(raw, answer)


def _write_line(raw: io.RawIOBase, message: Mapping[str, Any]) -> None:
    view = memoryview(json.dumps(message).encode() + b"\n")
    while view:
        view = view[raw.write(view) or 0 :]


def _redirect(pipe: int) -> None:
    os.setsid()  # signals for this repl reach its children and nobody else
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (pipe, 1), (pipe, 2)):
        os.dup2(source, target)
    os.close(pipe)
    sys.stdout, sys.stderr = _printing_to(1), _printing_to(2)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")


def _printing_to(descriptor: int) -> io.TextIOWrapper:
    """Return a stream that prints line by line: it stays in order with what others write."""
    return io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )


def _on_interrupt(_number: int, _frame: FrameType | None) -> None:
    if _running:
        _started.interrupt()
        raise KeyboardInterrupt


def was_interrupted() -> bool:
    """Tell whether the running statement has been told to stop."""
    return _started.interrupted


class Repl:
    """The user's namespace, and what is outside of it."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._row_limit = int(request["row_limit"])
        self._handle, self._context, self.spark = _attach(request)
        self._shell = _make_shell(_namespace(self.spark, self._context))
        builtins.input = _refuse_input

    def run(
        self, statement: Mapping[str, Any], tell: Callable[[Mapping[str, Any]], None]
    ) -> dict[str, Any]:
        """Run one statement, telling when it has begun, and return its answer. Never raises."""
        global _running  # noqa: PLW0603 - the signal handler has to see it
        answer: dict[str, Any] = {"number": statement["number"]}
        _started.begin()
        # The statement before may have taken the signal for itself.
        signal.signal(signal.SIGINT, _on_interrupt)
        try:
            _running = True
            try:
                tell({"began": statement["number"]})
                # Each statement takes the session and the job group anew: an interrupted
                # call leaves its thread in the JVM behind, and another repl may have
                # made its own session the default.
                self._handle.begin(statement["group"], statement["code"][:200])
                if statement["kind"] == "sql":
                    answer |= run_sql(self.spark, statement["code"], self._row_limit)
                else:
                    answer |= self._shell.run_statement(statement["code"])
            finally:
                _running = False
        except KeyboardInterrupt:
            _running = False  # it may have come just before the line above
            answer |= cancelled()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the statement's answer
            answer |= failed(error)
        _started.end()
        _flush()
        return answer


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # The user's code closed it.


def cancelled() -> dict[str, Any]:
    """Return the answer of a statement whose code was interrupted."""
    return {
        "outcome": "cancelled",
        "ename": "Cancelled",
        "evalue": "The statement was cancelled: its code was interrupted.",
    }


def failed(error: BaseException) -> dict[str, Any]:
    """Return the answer of a statement that raised."""
    if isinstance(error, SystemExit):
        error = ExitRefused(_NO_EXIT)
    return {
        "outcome": "error",
        "ename": type(error).__name__,
        "evalue": message_of(error),
        "traceback": list(_lines(error)),
    }


def message_of(error: BaseException) -> str:
    """Return an error's text; of Spark's own errors, the text with the bracketed class."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the user's own __str__
        return "(the error has no text)"
    # PySpark's errors carry the plan or the Java stack after the message's first part.
    return text.partition("\n\nJVM stacktrace:")[0].strip()


def _lines(error: BaseException) -> Iterator[str]:
    """Format a traceback that begins at the user's own line."""
    frames = _from_cell(error.__traceback__)
    try:
        yield from traceback.format_exception(type(error), error, frames)
    except Exception:  # noqa: BLE001 - the user's own __str__
        yield f"{type(error).__name__}\n"


def _from_cell(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and not frames.tb_frame.f_code.co_filename.startswith("<cell"):
        frames = frames.tb_next
    return frames


def _refuse_input(prompt: object = "") -> str:
    del prompt
    raise EOFError(_NO_INPUT)


def _refuse_exit(code: object = None) -> None:
    del code
    raise ExitRefused(_NO_EXIT)


def _attach(request: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Join the driver's JVM through this repl's own py4j server."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.logger import PySparkLogger
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
    context = SparkContext(gateway=gateway, jsc=java_context, conf=conf)
    signal.signal(signal.SIGINT, handler)
    spark = SparkSession(context, shared.get("spark"))

    def no_stop(*_: object) -> None:
        sys.stdout.write(_NO_STOP)

    SparkContext.stop = SparkSession.stop = no_stop
    # They print each Spark error a second time, as a line of JSON in the statement's output.
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True
    return shared.get("repl"), context, spark


def _namespace(spark: Any, context: Any) -> dict[str, Any]:
    return {
        "__name__": "__main__",
        "spark": spark,
        "sc": context,
        "sql": spark.sql,
        "exit": _refuse_exit,
        "quit": _refuse_exit,
    }


def _make_shell(namespace: dict[str, Any]) -> Any:
    from livius_agent.shell import Shell

    return Shell.make(namespace)
