"""Which statement each thread of a repl works for, so that its Spark jobs are that statement's.

A thread carries the statement that started it. The threads of a pool carry nothing, and each piece
of work the statement that handed it over: pools outlive statements. A thread of the JVM, in which
Spark looks, works for each of our threads: it learns the statement before the thread's first call,
and when the thread's work has changed.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import thread as futures
from functools import partial
from multiprocessing import pool as pools
from types import MappingProxyType
from typing import Any, Final
from weakref import WeakValueDictionary

_ATTRIBUTE: Final = "_livius_statement"
_STARTER: Final = "_livius_starter"
"""The statement that started a thread; the initializer of a pool's thread is part of it."""
_UNKNOWN: Final = object()
"""What a connection carries of which the JVM has yet to be notified."""
_SETS_PROPERTIES: Final = "\nsetLocalProperties\n"
_CANCELLED: Final = "The statement that this work belongs to was cancelled."
_OF_POOLS: Final = ("concurrent.futures.thread", "multiprocessing.pool")
"""The threads of these modules carry what their work does; those of py4j serve the JVM."""


class Statement:
    """A statement of this repl.

    ``cancelled``: its code has to stop. ``over``: it has, so its threads that had not begun yet do
    nothing, and what the others print is dropped.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self.cancelled = False
        self.over = False


class WorkCancelled(Exception):
    """The statement that handed this work to a pool was cancelled before the work began."""


_running: Statement | None = None
_bare_thread: Final = threading.local()
"""Has the ``statement`` of a thread that `_thread` started, until Python has printed its error."""
_handed: WeakValueDictionary[int, Any] = WeakValueDictionary()
"""The results that wait for work of `multiprocessing`'s pools, by the number of the work."""


def of_thread(identity: int) -> tuple[bool, Statement | None]:
    """Return whether it is known what a thread carries, and that. For signal handlers: no lock."""
    thread = threading._active.get(identity)  # type: ignore[attr-defined] # noqa: SLF001
    known = hasattr(thread, _ATTRIBUTE)
    return known, getattr(thread, _ATTRIBUTE, None)


def current() -> Statement | None:
    """Return the statement that the calling thread works for."""
    identity = threading.get_ident()
    if identity == threading.main_thread().ident:
        return _running
    known, statement = of_thread(identity)
    return statement if known else getattr(_bare_thread, "statement", None)


def is_over() -> bool:
    """Tell whether the calling thread works for a cancelled statement that has ended."""
    statement = current()
    return statement is not None and statement.over


def _is_between_statements() -> bool:
    """Tell whether the main thread calls, and what it works for is yet to begin in the JVM."""
    return _running is None and threading.get_ident() == threading.main_thread().ident


def run(statement: Statement | None) -> None:
    """Have the main thread work for a statement from now on."""
    global _running  # noqa: PLW0603 - the one thing that a process has once
    _running = statement


def install() -> None:
    """Have threads and the work of pools carry their statement from now on. Called once."""
    _patch_threads()
    _patch_futures()
    _patch_multiprocessing()


def _carry(statement: Statement | None) -> None:
    setattr(threading.current_thread(), _ATTRIBUTE, statement)


def _patch_threads() -> None:
    start_thread, start_bare = threading.Thread.start, _thread.start_new_thread
    begin_thread = threading.Thread._bootstrap_inner  # type: ignore[attr-defined] # noqa: SLF001

    def start(self: threading.Thread) -> None:
        module = str(getattr(getattr(self, "_target", None), "__module__", ""))
        belongs = not module.startswith("py4j.") and module not in _OF_POOLS
        statement = current()
        setattr(self, _ATTRIBUTE, statement if belongs else None)
        setattr(self, _STARTER, statement)
        start_thread(self)

    def begin(self: Any) -> None:
        # Before its first step, `livius_agent.threads` could not see it.
        statement = getattr(self, _ATTRIBUTE, None)
        if statement is not None and statement.over:
            self.run = _do_nothing
        begin_thread(self)

    def start_new_thread(
        function: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] = MappingProxyType({}),
    ) -> int:
        statement = current()

        def begin_bare() -> None:
            _bare_thread.statement = statement
            if statement is None or not statement.over:
                function(*args, **kwargs)

        return start_bare(begin_bare, ())

    threading.Thread.start = start  # type: ignore[method-assign]
    threading.Thread._bootstrap_inner = begin  # type: ignore[attr-defined] # noqa: SLF001
    _thread.start_new_thread = _thread.start_new = start_new_thread


def _do_nothing() -> None:
    pass


def _patch_futures() -> None:
    item: Any = futures._WorkItem  # noqa: SLF001 - what a piece of work is; nothing public sees it
    make, run_item = item.__init__, item.run

    def make_ours(self: Any, future: Any, *rest: Any) -> None:
        make(self, future, *rest)
        self.statement = current()

    def run_ours(self: Any, *rest: Any) -> None:
        statement = self.statement
        _carry(statement)
        if statement is not None and statement.cancelled:
            self.future.cancel()
        try:
            run_item(self, *rest)
            _carry(None)
        except SystemExit:  # meant for the work, which has just ended: it catches all of its own
            if statement is None or not statement.cancelled:
                raise
            _carry(None)

    def initialized(self: Any, *arguments: Any, **named: Any) -> None:
        make_pool(self, *arguments, **named)
        if self._initializer is not None:
            self._initializer = partial(_initialize, self._initializer)

    item.__init__, item.run = make_ours, run_ours
    pool: Any = futures.ThreadPoolExecutor
    make_pool = pool.__init__
    pool.__init__ = initialized


def _starter() -> Statement | None:
    return getattr(threading.current_thread(), _STARTER, None)


def _initialize(initializer: Callable[..., object], *arguments: object) -> None:
    statement = _starter()
    _carry(statement)
    if statement is not None and statement.cancelled:
        raise WorkCancelled(_CANCELLED)
    initializer(*arguments)
    _carry(None)  # a thread whose initializer fails ends, and prints that


def _patch_multiprocessing() -> None:
    worker: Any = pools.worker  # type: ignore[attr-defined]
    for result in (pools.ApplyResult, pools.IMapIterator):
        _note_statement(result)

    def work(inqueue: Any, outqueue: Any, *rest: Any) -> None:
        if hasattr(inqueue, "_writer"):  # of a pool of processes
            worker(inqueue, outqueue, *rest)
            return
        tasks = _Tasks(inqueue, _starter())
        if tasks.cancelled():
            rest = (None, (), *rest[2:])  # no initializer
        while True:
            try:
                worker(tasks, outqueue, *rest)
            except SystemExit:
                if not tasks.cancelled():
                    raise
                if tasks.task is not None:
                    outqueue.put((*tasks.task[:2], (False, WorkCancelled(_CANCELLED))))
                rest = (None, (), *rest[2:])  # its initializer has run
            else:
                return

    work.__module__, work.__name__, work.__qualname__ = pools.__name__, "worker", "worker"
    pools.worker = work  # type: ignore[attr-defined]


class _Tasks:
    """What a thread of a pool takes its work from."""

    def __init__(self, queue: Any, starter: Statement | None) -> None:
        self._queue = queue
        self._statement = starter  # of the initializer, which runs first
        _carry(starter)
        self.task: Any = None

    def cancelled(self) -> bool:
        """Tell whether the statement of the work at hand was cancelled."""
        return self._statement is not None and self._statement.cancelled

    def get(self) -> Any:
        """Take the next piece of work, and carry its statement."""
        _carry(None)
        self.task = self._queue.get()
        waiting = _handed.get(self.task[0]) if self.task else None
        self._statement = getattr(waiting, _ATTRIBUTE, None)
        if self.cancelled():
            return (*self.task[:2], _refuse, (), {})
        _carry(self._statement)
        return self.task


def _note_statement(result: Any) -> None:
    make = result.__init__

    def make_ours(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        setattr(self, _ATTRIBUTE, current())
        _handed[self._job] = self

    result.__init__ = make_ours


def _refuse() -> None:
    raise WorkCancelled(_CANCELLED)


class Connections:
    """Tells the JVM whose thread calls, on the connection that the thread has to itself."""

    def __init__(self, client: Any, handle: Any) -> None:
        self._client = client
        self._header = handle.carry.command_header
        self._get = client._get_connection  # noqa: SLF001 - each call goes through it
        self._send = client.send_command
        client._get_connection = self._get_connection  # noqa: SLF001
        client.send_command = self._send_command

    def began(self, statement: Statement) -> None:
        """The JVM knows what the main thread works for; `livius.Repl.begin` was called."""
        run(statement)
        setattr(self._client.get_thread_connection(), _ATTRIBUTE, statement)

    def _send_command(self, command: str, *arguments: Any, **named: Any) -> Any:
        try:
            answer = self._send(command, *arguments, **named)
        except (KeyboardInterrupt, SystemExit):
            # The answer is yet to come; the thread's next call would take it for its own.
            if (connection := self._client.get_thread_connection()) is not None:
                connection.close()
            raise
        if _SETS_PROPERTIES in command:  # such as PySpark captured in an earlier statement
            setattr(self._client.get_thread_connection(), _ATTRIBUTE, _UNKNOWN)
        return answer

    def _get_connection(self) -> Any:
        from py4j.protocol import Py4JNetworkError

        connection, statement = self._get(), current()
        # What the JVM calls answers on the JVM's thread, which may be a streaming query's.
        if (
            not connection.initiated_from_client
            or getattr(connection, _ATTRIBUTE, _UNKNOWN) is statement
            or _is_between_statements()
        ):
            return connection
        try:
            self._carry(connection, statement)
        except Py4JNetworkError:  # closed by the JVM since it was used; a call is tried again too
            connection.close()
            connection = self._get()
            self._carry(connection, statement)
        return connection

    def _carry(self, connection: Any, statement: Statement | None) -> None:
        from py4j import protocol

        # A thread that works for no statement says so: its twin inherits the last one's.
        argument = protocol.get_command_part("" if statement is None else statement.group)
        connection.send_command(
            protocol.CALL_COMMAND_NAME + self._header + argument + protocol.END_COMMAND_PART
        )
        setattr(connection, _ATTRIBUTE, statement)
