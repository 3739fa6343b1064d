"""Progress on standard error, once something takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from typing import Final

_QUIET: Final = 2.0
_LINE_EVERY: Final = 30.0
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Shows a step that goes on: in place on a terminal, else as a line now and then."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._began = time.monotonic()
        self._text = ""
        self._printed_at: float | None = None
        self._on_screen = False

    def begin(self, text: str) -> None:
        """Begin a step."""
        self.clear()
        self._began, self._text, self._printed_at = time.monotonic(), text, None

    def show(self, detail: str = "") -> None:
        """Show the step's state, if it is time to."""
        now = time.monotonic()
        seconds = now - self._began
        if seconds < _QUIET:
            return
        line = f"{self._text}{detail}, {seconds:.0f} s"
        if self._live:
            sys.stderr.write(f"{_CLEAR}{line} …")
            sys.stderr.flush()
            self._on_screen = True
        elif self._printed_at is None or now - self._printed_at >= _LINE_EVERY:
            print(line, file=sys.stderr, flush=True)
            self._printed_at = now

    def clear(self) -> None:
        """Remove the line, so that something else can be printed."""
        if self._on_screen:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._on_screen = False

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self.clear()
        print(f"livius: {text}", file=sys.stderr, flush=True)

    def say_text(self, text: str) -> None:
        """Print text that is no part of a command's result."""
        self.clear()
        sys.stderr.write(text if text.endswith("\n") else f"{text}\n")
        sys.stderr.flush()
