"""Runs the checks and all tests in groups, and prints how long each group took: `make test`.

The runtime and the clients' environments wait for the network most of the time, so they are built
beside the groups that need neither. Tests wait too, for processes and deadlines: with one worker
more than cores no core idles.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

import psutil

from support.clients import client_python, java_21
from support.distribution import WITH_SPARK
from support.gateway import LIVIUS, ROOT, RUNTIME

PYTEST = (sys.executable, "-m", "pytest")
BUILD = "--build"
MEMORY = 3 * 2**30
"""What a worker's tests need: a gateway, a metastore and two or three drivers."""
DEFAULT_RUNTIME = "2.0"
"""All groups are for this one; for another, only that with Spark."""


@dataclass(frozen=True)
class Took:
    """The time of a group in seconds, and whether it failed."""

    group: str
    seconds: float
    failed: bool

    def __str__(self) -> str:
        return f"{self.group:<32}{self.seconds:6.0f} s{'  failed' if self.failed else ''}"


def run(group: str, command: Sequence[str], output: IO[str] | None = None) -> Took:
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, check=False)
    return Took(group, time.monotonic() - began, done.returncode != 0)


def build() -> int:
    """Build the clients' environments, Java 21 and both runtimes; return an exit code."""
    for clients in ("current", "msal-1.34", "dbt", "fabric"):
        client_python(clients)
    java_21()
    codes = [
        subprocess.run([LIVIUS, "runtime", "build", name], check=False).returncode
        for name in ("1.3", "2.0")
    ]
    return max(codes)


def workers(more: int) -> int:
    """Return so many more than there are cores, if memory is enough for the drivers of each."""
    return max(1, min((os.cpu_count() or 1) + more, psutil.virtual_memory().total // MEMORY))


def parallel(more: int, arguments: Sequence[str]) -> tuple[str, ...]:
    """Return pytest's command for so many more workers than there are cores."""
    return (*PYTEST, "-n", str(workers(more)), *arguments)


def only(mark: str) -> Iterator[str]:
    """Yield pytest's arguments for the tests of a group; it does not read those of the other."""
    yield from ("-m", mark)
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and (folder.name in WITH_SPARK) != (mark == "spark"):
            yield f"--ignore={folder}"


def test(arguments: Sequence[str]) -> int:
    """Run the groups until one fails; pytest gets the arguments. Return an exit code."""
    # A terminal sends Ctrl-C to pytest too, which then ends its own processes.
    signal.signal(signal.SIGINT, lambda *_: None)
    began, took = time.monotonic(), list[Took]()
    with tempfile.TemporaryFile("w+") as log, ThreadPoolExecutor(1) as beside:
        command = (sys.executable, __file__, BUILD)
        built = beside.submit(run, "runtime and clients, meanwhile", command, log)
        # Some of those without Spark wait for processes; those with Spark leave no core idle.
        without, spark = parallel(1, arguments), parallel(0, arguments)
        with_spark = (
            built.result,
            lambda: run(
                f"tests with Spark, on {RUNTIME}", (*spark, "--dist", "loadfile", *only("spark"))
            ),
        )
        groups: tuple[Callable[[], Took], ...] = (
            lambda: run("check", ("make", "--no-print-directory", "check")),
            lambda: run("tests without Spark", (*without, *only("not spark"))),
            *with_spark,
        )
        if RUNTIME != DEFAULT_RUNTIME:
            groups = with_spark
        for group in groups:
            took.append(group())
            if took[-1].failed:
                break
        if built.result().failed:
            log.seek(0)
            shutil.copyfileobj(log, sys.stderr)
    took.append(Took("in all", time.monotonic() - began, took[-1].failed))
    sys.stdout.writelines(f"{group}\n" for group in took)
    return int(took[-1].failed)


if __name__ == "__main__":
    sys.exit(build() if sys.argv[1:] == [BUILD] else test(sys.argv[1:]))
