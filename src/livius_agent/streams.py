"""The standard streams of a repl: the pipe, whatever user code does to ``sys.stdout``.

C code has a buffer of its own. It is flushed at each line, so that its lines stand where they were
printed, and at the end of a statement.
"""

from __future__ import annotations

import ctypes
import fcntl
import io
import os
import sys
from typing import Any, Final

from livius_agent import carried

_NAMES: Final = ((1, "stdout"), (2, "stderr"))
_BY_LINE: Final = 1  # _IOLBF
_ABOVE_OTHERS: Final = 100

_libc: Final = ctypes.CDLL(None)
_c_stdout: Final = ctypes.c_void_p.in_dll(_libc, "stdout")


class Streams:
    """Makes descriptors 1 and 2 the pipe, and keeps them so from statement to statement."""

    def __init__(self, pipe: int) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (pipe, 1), (pipe, 2)):
            os.dup2(source, target)
        os.close(nothing)
        self._pipe = fcntl.fcntl(pipe, fcntl.F_DUPFD_CLOEXEC, _ABOVE_OTHERS)
        os.close(pipe)
        _libc.setvbuf(_c_stdout, None, _BY_LINE, 0)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
        self._out = sys.stdout = _printing_to(1)
        sys.stderr = _printing_to(2)

    def restore(self) -> None:
        """Put back what a statement closed or took away; what it put there instead stays."""
        for number, name in _NAMES:
            try:
                os.fstat(number)
            except OSError:
                os.dup2(self._pipe, number)
            if not _can_print(getattr(sys, name, None)):
                setattr(sys, name, _printing_to(number))
        if not _can_print(self._out):
            self._out = _printing_to(1)

    def say(self, text: str) -> None:
        """Print to the pipe, also while user code has put something else in ``sys.stdout``."""
        if not _can_print(self._out):
            self._out = _printing_to(1)
        self._out.write(text)

    def flush(self) -> None:
        """Put everything that was printed into the pipe."""
        for stream in (getattr(sys, "stdout", None), getattr(sys, "stderr", None), self._out):
            try:
                stream.flush()  # type: ignore[union-attr] # whatever it is
            except Exception:  # noqa: BLE001, S112 - the user's own stream, closed or none
                continue
        _libc.fflush(_c_stdout)


class _Printed(io.TextIOWrapper):
    """Drops what threads of a cancelled statement print after its end."""

    def write(self, text: str, /) -> int:
        """Print text."""
        return len(text) if carried.is_over() else super().write(text)


def _can_print(stream: Any) -> bool:
    try:
        return not stream.closed
    except AttributeError:
        return hasattr(stream, "write")
    except ValueError:
        return False  # its buffer was detached


def _printing_to(descriptor: int) -> io.TextIOWrapper:
    """Return a stream that prints line by line: it stays in order with what others write."""
    return _Printed(
        io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
