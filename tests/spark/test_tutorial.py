"""The tutorial, pasted block by block into a plain Python prompt on a terminal."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.documents import blocks
from support.gateway import ROOT, Gateway

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]

TUTORIAL = blocks(ROOT / "docs" / "tutorial" / "first-table.md", "python")
PROMPT = ">>> "


class Terminal:
    """A terminal with a Python prompt in it."""

    def __init__(self, folder: Path) -> None:
        self._end, other = pty.openpty()
        # What is typed isn't mixed with what is printed.
        modes = termios.tcgetattr(other)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(other, termios.TCSANOW, modes)
        environment = os.environ | {"TERM": "dumb", "PYTHON_BASIC_REPL": "1"}
        self._python = subprocess.Popen(
            [sys.executable, "-i", "-q"],
            cwd=folder,
            env=environment,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self._printed = ""

    def paste(self, code: str, seconds: float = 180) -> str:
        """What was printed from the code's first line until the prompt waits for more."""
        mark = f"pasted-{time.monotonic_ns()}"
        before = len(self._printed)
        os.write(self._end, f"{code}print({mark[:3]!r} + {mark[3:]!r})\n".encode())
        deadline = time.monotonic() + seconds
        while mark not in self._printed[before:]:
            left = deadline - time.monotonic()
            assert left > 0, self._printed
            if select.select([self._end], [], [], left)[0]:
                self._printed += os.read(self._end, 65536).decode().replace("\r\n", "\n")
        return self._printed[before:].replace(PROMPT, "").replace("... ", "")

    def close(self) -> None:
        self._python.kill()
        self._python.wait()
        os.close(self._end)


@contextmanager
def clone(gateway: Gateway, folder: Path) -> Iterator[Terminal]:
    """A prompt in a folder whose data folder is the gateway's, as in a clone."""
    (folder / ".livius").symlink_to(gateway.home)
    terminal = Terminal(folder)
    try:
        yield terminal
    finally:
        terminal.close()


def test_each_block_pasted_after_the_other_prints_what_the_page_shows(
    gateway: Gateway, tmp_path: Path
) -> None:
    assert len(TUTORIAL) == 5
    with clone(gateway, tmp_path) as terminal:
        for block in [*TUTORIAL[:4], TUTORIAL[3], TUTORIAL[4]]:  # the table is made twice
            printed = terminal.paste(block.code)
            assert "Error" not in printed, printed
            assert block.is_printed(printed), f"{block.prints}\nbut:\n{printed}"


def test_a_block_that_ends_in_a_loop_would_be_noticed(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    try:
        with pytest.raises(AssertionError, match="SyntaxError"):
            terminal.paste("for one in (1, 2):\n    print(one)\n", seconds=5)
    finally:
        terminal.close()
