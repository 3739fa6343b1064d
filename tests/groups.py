"""Runs the checks and all tests in groups, and prints how long each group took: `make test`.

The runtime and the clients' environments wait for the network most of the time, so they are built
beside the groups that need neither. Tests wait too, for processes and deadlines: with one worker
more than cores no core idles.

A few tests that failed are run once more, alone and in new processes. What passes then is printed
as flaky: it has a fault, in the test or in Livius, that somebody has to find, but it does not keep
others from landing. Tests that failed do not keep the next group from being run.
"""

import json
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


TESTS_FAILED = 1
"""Pytest's exit code if tests failed, and nothing else is wrong."""
MOST_FLAKY = 8
"""More tests that failed are no accident: they are not run again."""
FAILED_TESTS = ROOT / ".pytest_cache/v/cache/lastfailed"


@dataclass(frozen=True)
class Took:
    """The time of a group in seconds, its exit code, and its flaky tests.

    ``goes_on``: the next group may run.
    """

    group: str
    seconds: float
    code: int
    goes_on: bool
    flaky: Sequence[str] = ()

    def __str__(self) -> str:
        line = f"{self.group:<32}{self.seconds:6.0f} s{'  failed' if self.code else ''}"
        return "\n".join([line, *(f"    flaky: {test}" for test in self.flaky)])


def run(group: str, command: Sequence[str], output: IO[str] | None = None) -> Took:
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, check=False)
    return Took(group, time.monotonic() - began, done.returncode, goes_on=not done.returncode)


def run_tests(group: str, distribution: Sequence[str], arguments: Sequence[str]) -> Took:
    """Run tests with pytest; if a few fail, run these once more, alone."""
    began = time.monotonic()
    FAILED_TESTS.unlink(missing_ok=True)
    code = run(group, (*PYTEST, *distribution, *arguments)).code
    failed, flaky = failed_tests(), list[str]()
    if code == TESTS_FAILED and len(failed) <= MOST_FLAKY:
        sys.stdout.write(f"\n== Once more, alone: the tests that failed ({len(failed)})\n")
        sys.stdout.flush()
        again = (*PYTEST, "--last-failed", "--last-failed-no-failures=none", *arguments)
        code = run(group, again).code
        flaky = sorted(failed - failed_tests())
    goes_on = code in (0, TESTS_FAILED)  # else Ctrl-C has ended it, or pytest itself is at fault
    return Took(group, time.monotonic() - began, code, goes_on, flaky)


def failed_tests() -> set[str]:
    """Return the tests that failed when they were last run."""
    try:
        return set(json.loads(FAILED_TESTS.read_text("utf-8")))
    except FileNotFoundError:
        return set()


def build() -> None:
    """Build the clients' environments, Java 21 and both runtimes."""
    for clients in ("current", "msal-1.34", "dbt", "fabric", "sparkmagic"):
        client_python(clients)
    java_21()
    for name in ("1.3", "2.0"):
        subprocess.run([LIVIUS, "runtime", "build", name], check=True)


def workers(more: int) -> int:
    """Return so many more than there are cores, if memory is enough for the drivers of each."""
    return max(1, min((os.cpu_count() or 1) + more, psutil.virtual_memory().total // MEMORY))


def only(mark: str) -> Iterator[str]:
    """Yield pytest's arguments for the tests of a group; it does not read those of the other."""
    yield from ("-m", mark)
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and (folder.name in WITH_SPARK) != (mark == "spark"):
            yield f"--ignore={folder}"


def test(arguments: Sequence[str]) -> int:
    """Run the groups; pytest gets the arguments. Return an exit code."""
    # A terminal sends Ctrl-C to pytest too, which then ends its own processes.
    signal.signal(signal.SIGINT, lambda *_: None)
    began, took = time.monotonic(), list[Took]()
    # Some of those without Spark wait for processes; those with Spark leave no core idle.
    without = (("-n", str(workers(1))), (*arguments, *only("not spark")))
    spark = (("-n", str(workers(0)), "--dist", "loadfile"), (*arguments, *only("spark")))
    with tempfile.TemporaryFile("w+") as log, ThreadPoolExecutor(1) as beside:
        command = (sys.executable, __file__, BUILD)
        built = beside.submit(run, "runtime and clients, meanwhile", command, log)
        with_spark = (
            built.result,
            lambda: run_tests(f"tests with Spark, on {RUNTIME}", *spark),
        )
        groups: tuple[Callable[[], Took], ...] = (
            lambda: run("check", ("make", "--no-print-directory", "check")),
            lambda: run_tests("tests without Spark", *without),
            *with_spark,
        )
        if RUNTIME != DEFAULT_RUNTIME:
            groups = with_spark
        for group in groups:
            took.append(group())
            if not took[-1].goes_on:
                break
        if built.result().code:
            log.seek(0)
            shutil.copyfileobj(log, sys.stderr)
    code = max(group.code for group in took)
    took.append(Took("in all", time.monotonic() - began, code, goes_on=False))
    sys.stdout.writelines(f"{group}\n" for group in took)
    return code


if __name__ == "__main__":
    if sys.argv[1:] == [BUILD]:
        build()
    else:
        sys.exit(test(sys.argv[1:]))
