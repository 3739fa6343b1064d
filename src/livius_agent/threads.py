"""Ending the threads that a statement has started, once the statement itself is to end.

A signal interrupts the main thread only. Another thread can be made to raise at its next step of
Python code; one that waits in C code does so when it comes back. Threads of earlier statements
are left alone, and so are those that wait for work in a pool, which is kept usable.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from concurrent.futures import thread as pools
from contextlib import suppress
from queue import Empty
from types import FrameType
from typing import Final

_LOOK_EVERY: Final = 0.02
_STILL_FOR: Final = 0.25
"""A thread that has not moved for so long waits in C code, and won't run Python code again."""


class StartedThreads:
    """The threads of the running statement. ``interrupted``: it was told to stop."""

    def __init__(self) -> None:
        self._before: frozenset[int] = frozenset()
        self.interrupted = False

    def begin(self) -> None:
        """Note whose threads there are before a statement."""
        self._before = frozenset(sys._current_frames())  # noqa: SLF001 - takes no lock
        self.interrupted = False

    def interrupt(self) -> None:
        """Have each thread of the statement raise. For use in a signal handler: takes no lock."""
        self.interrupted = True
        for identity in self._working():
            _empty_pool_of(identity)
            _raise_in(identity)

    def end(self) -> None:
        """Return at the end of a statement; of an interrupted one, when no thread works for it.

        A thread that catches what it was made to raise and goes on keeps this waiting, until
        whoever wanted the end loses patience with the process.
        """
        moved: dict[int, tuple[tuple[int, int], float]] = {}
        while self.interrupted:
            now, busy = time.monotonic(), False
            for identity, frame in self._working().items():
                at = id(frame), frame.f_lasti
                if moved.get(identity, (None, 0.0))[0] != at:
                    moved[identity] = at, now
                    _raise_in(identity)
                busy = busy or now - moved[identity][1] < _STILL_FOR
            if not busy:
                return
            time.sleep(_LOOK_EVERY)

    def _working(self) -> dict[int, FrameType]:
        return {
            identity: frame
            for identity, frame in sys._current_frames().items()  # noqa: SLF001 - as above
            if identity not in self._before
            and identity != threading.main_thread().ident
            and frame.f_code is not pools._worker.__code__  # noqa: SLF001
            and not _is_of_py4j(frame)
        }


def _is_of_py4j(frame: FrameType) -> bool:
    """Tell whether a thread serves calls from the JVM, of streaming queries for one."""
    first, outer = "", frame.f_back
    while outer is not None:
        name = str(outer.f_globals.get("__name__"))
        first, outer = first if name == "threading" else name, outer.f_back
    return first.startswith("py4j.")


def _empty_pool_of(identity: int) -> None:
    """Cancel what waits in a pool's queue: else the thread would begin the next piece."""
    thread = threading._active.get(identity)  # type: ignore[attr-defined] # noqa: SLF001 - no lock
    queue = pools._threads_queues.get(thread) if thread else None  # noqa: SLF001
    if queue is None:
        return
    with suppress(Empty):
        while (work := queue.get_nowait()) is not None:
            work.future.cancel()
        queue.put(None)  # the order to end, for which its threads wait


def _raise_in(identity: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        # Nobody prints this one, and code that goes on after any `Exception` does not take it.
        ctypes.c_ulong(identity),
        ctypes.py_object(SystemExit),
    )
