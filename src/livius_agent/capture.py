"""What the interpreters of a repl print, as text, as it comes.

A repl has one named pipe that all its interpreters, their C code and their child processes write
to. The agent holds both ends of it open, so it never ends, and reads all the time, so it never
fills up.
"""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_READ: Final = 256 * 1024


class OutputPipe:
    """Reads a named pipe and hands on the text. What comes between statements waits for the next.

    Bytes that are no UTF-8 become replacement characters.
    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path, 0o600)
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._sink: Callable[[str], None] | None = None
        self._held = ""
        self._dropped = 0
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def begin(self, sink: Callable[[str], None]) -> None:
        """Hand text to this statement from now on, what was held first."""
        self._sink = sink
        if self._dropped:
            sink(f"[{self._dropped} characters, printed before this statement, are left out]\n")
        if self._held:
            sink(self._held)
        self._held, self._dropped = "", 0

    def end(self) -> None:
        """Take what is in the pipe, then stop handing it to the statement.

        The interpreter flushed before it said that the statement ended, so all of it is in the
        pipe now, which holds less than one read takes. A thread that goes on printing can't keep
        the statement open.
        """
        self._read()
        if self._sink is not None and (rest := self._decoder.decode(b"", final=True)):
            self._sink(rest)
        self._decoder.reset()
        self._sink = None

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return
        text = self._decoder.decode(data)
        if self._sink is not None:
            self._sink(text)
        else:
            # A thread that outlived its statement: bounded, the newest is kept.
            held = self._held + text
            self._held = held[-_READ:]
            self._dropped += len(held) - len(self._held)

    def close(self) -> None:
        """Stop reading, and remove the pipe."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.path.unlink(missing_ok=True)
