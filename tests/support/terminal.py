"""The output of a command on a terminal of its own."""

import contextlib
import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def in_a_terminal(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    folder: Path | None = None,
    *,
    reads: bool = False,
) -> str:
    """Return what a command that must succeed writes; ``reads``: the terminal is its input too."""
    ours, theirs = pty.openpty()
    written = b""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=theirs if reads else subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # EIO: the last process that had it has ended
            while part := os.read(ours, 65536):
                written += part
        os.close(ours)
    assert process.returncode == 0, written.decode()
    return written.decode()
