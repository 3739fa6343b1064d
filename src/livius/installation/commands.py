"""Running other programs during set-up: their last words become the error."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from uv import find_uv_bin

from livius.installation.progress import Progress, SetupFailed

_ENDS_WITHIN: Final = 3.0


def run(
    command: Sequence[str | Path], progress: Progress, *, env: Mapping[str, str] | None = None
) -> None:
    """Run a program to its end, passing what it says on as details.

    If we are interrupted, it ends with all that it has started.

    Raises:
        SetupFailed: it ended with an error; its last lines are in the message.
    """
    tail: list[str] = []
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(env) if env is not None else None,
        process_group=0,  # to be ended as a whole; a terminal's Ctrl-C then reaches us alone
    ) as process:
        try:
            for line in process.stdout or ():
                tail = [*tail[-19:], line.rstrip()]
                said = line.strip()
                if said and not said.startswith("+ "):  # of uv: each of fifty packages
                    progress.detail(said)
        except BaseException:
            _end_group(process)
            raise
    if process.returncode:
        words = "\n  ".join(tail)
        raise SetupFailed(
            f"{Path(str(command[0])).name} ended with exit code {process.returncode}:\n  {words}\n"
            "Nothing is lost: run the same command again to go on from here."
        )


def _end_group(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN)


def uv(*arguments: str | Path, progress: Progress, venv: Path | None = None) -> None:
    """Run uv, which brings Python packages; on one environment, where one is given."""
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    if venv is not None:
        env["VIRTUAL_ENV"] = str(venv)
    run([find_uv_bin(), *arguments], progress, env={**env, "UV_NO_PROGRESS": "1"})
