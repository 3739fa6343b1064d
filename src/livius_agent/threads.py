"""Ending the threads that a statement has started, once the statement itself is to end.

A signal interrupts the main thread only. Another thread can be made to raise at its next step of
Python code; one that waits in C code does so when it comes back. Threads that work for earlier
statements are left alone, and so are those that wait for work in a pool, which is kept usable.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from types import FrameType
from typing import Final

from livius_agent.carried import Statement, of_thread

_LOOK_EVERY: Final = 0.02
_STILL_FOR: Final = 0.25
"""A thread that has not moved for so long waits in C code, and won't run Python code again."""


class StartedThreads:
    """The threads of the running statement. ``interrupted``: it has to stop."""

    def __init__(self) -> None:
        self._before: frozenset[int] = frozenset()
        self._statement = Statement("")

    @property
    def interrupted(self) -> bool:
        """Tell whether the statement has to stop."""
        return self._statement.cancelled

    def begin(self, statement: Statement) -> None:
        """Note whose threads there are before a statement."""
        self._before = frozenset(sys._current_frames())  # noqa: SLF001 - takes no lock
        self._statement = statement

    def interrupt(self) -> None:
        """Have each thread of the statement raise. For use in a signal handler: takes no lock."""
        self._statement.cancelled = True
        for identity in self._working():
            self._raise_in(identity)

    def end(self) -> None:
        """Return at the end of a statement; of an interrupted one, when no thread works for it.

        A thread that catches what it was made to raise and goes on keeps this waiting, until the
        caller's deadline ends the process.
        """
        moved: dict[int, tuple[tuple[int, int], float]] = {}
        while self.interrupted:
            now, busy = time.monotonic(), False
            for identity, frame in self._working().items():
                at = id(frame), frame.f_lasti
                if moved.get(identity, (None, 0.0))[0] != at:
                    moved[identity] = at, now
                    self._raise_in(identity)
                busy = busy or now - moved[identity][1] < _STILL_FOR
            if busy:
                time.sleep(_LOOK_EVERY)
            elif self._statement.over:
                return
            else:  # a thread that began without noticing this is found by one more look
                self._statement.over = True

    def _working(self) -> dict[int, FrameType]:
        return {
            identity: frame
            for identity, frame in sys._current_frames().items()  # noqa: SLF001 - as above
            if identity != threading.main_thread().ident and self._is_ours(identity)
        }

    def _is_ours(self, identity: int) -> bool:
        known, statement = of_thread(identity)
        return statement is self._statement if known else identity not in self._before

    def _raise_in(self, identity: int) -> None:
        _raise_in(identity, SystemExit)
        if not self._is_ours(identity):  # its work has just ended; what comes next is not ours
            _raise_in(identity, None)


def _raise_in(identity: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        # Nobody prints this one, and code that goes on after any `Exception` does not take it.
        ctypes.c_ulong(identity),
        None if error is None else ctypes.py_object(error),
    )
