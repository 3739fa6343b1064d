"""Ctrl-C and SIGTERM while a command works: recorded at once, raised only where that is safe."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Self

_PATIENCE: Final = 2


class Interrupted(BaseException):
    """A signal came. It is raised inside `Interrupts.allowed` only."""


class Interrupts:
    """Handles the signals until the block ends.

    Between `allowed` blocks a signal waits for the next one, so that the number of a statement that
    was submitted is never lost, nor text that was read. A third signal ends the process at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        """The first signal that came."""
        self.leave = False
        """Whether the command is to end without waiting: SIGTERM, or a second Ctrl-C."""
        self._allowed = False
        self._pending = False
        self._count = 0

    def __enter__(self) -> Self:
        # One that is ignored stays so, as under nohup.
        self._before = [
            (number, signal.signal(number, self._on_signal))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let a signal interrupt what the block waits for.

        Raises:
            Interrupted: one came, now or since the last such block.
        """
        self._allowed = True
        try:
            self._raise_pending()
            yield
            self._raise_pending()
        finally:
            self._allowed = False

    def sleep(self, seconds: float) -> None:
        """Wait, unless a signal comes.

        Raises:
            Interrupted: one came.
        """
        with self.allowed():
            time.sleep(seconds)

    @property
    def exit_status(self) -> int:
        """The exit status of a command that a signal ended."""
        return 128 + (self.signal or signal.SIGINT)

    def _raise_pending(self) -> None:
        if self._pending:
            self._pending = False
            raise Interrupted

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        self.signal = self.signal or number
        self.leave = self._count > 1 or number != signal.SIGINT
        if self._count > _PATIENCE:
            os._exit(self.exit_status)
        if self._allowed:
            self._allowed = False
            raise Interrupted
        self._pending = True
