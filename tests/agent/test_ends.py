"""Why a driver ended, and ending what a statement has started."""

import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from livius_agent.autopsy import Autopsy
from livius_agent.memory import OutOfMemoryKills
from livius_agent.process import kill_family
from livius_agent.threads import StartedThreads
from support.waiting import wait_for

NEVER = OutOfMemoryKills(group=2**60, machine=2**60)


def autopsy(folder: Path, stdout: str = "", kills: OutOfMemoryKills = NEVER) -> Autopsy:
    (folder / "stdout.log").write_text(stdout)
    (folder / "stderr.log").write_text('Setting default log level to "WARN".\n\nthe last words\n')
    return Autopsy(folder, "1g", kills)


@pytest.mark.parametrize(
    ("code", "stdout", "said"),
    [
        (3, "Terminating due to java.lang.OutOfMemoryError: Java heap space\n", "heap is 1g"),
        (3, "Terminating due to java.lang.OutOfMemoryError: Metaspace\n", "too many classes"),
        (3, "", "exit code 3: code of the session ended it"),
        (0, "Terminating due to java.lang.OutOfMemoryError: Java heap space\n", "exit code 0"),
        (-9, "", "signal 9 (SIGKILL)"),
        (-11, "", "signal 11 (SIGSEGV)"),
        (-1000, "", "signal 1000"),
    ],
)
def test_how_a_jvm_ended(tmp_path: Path, code: int, stdout: str, said: str) -> None:
    assert said in autopsy(tmp_path, stdout).of_jvm(code, served=True)


def test_java_that_ends_before_spark_is_up(tmp_path: Path) -> None:
    assert "before Spark was up" in autopsy(tmp_path).of_jvm(1, served=False)


def test_a_kill_for_memory_is_told_from_another(tmp_path: Path) -> None:
    some_since = OutOfMemoryKills(group=2**60, machine=-1)
    assert "want of memory" in autopsy(tmp_path, kills=some_since).of_jvm(
        -signal.SIGKILL, served=True
    )
    assert "memory" not in autopsy(tmp_path, kills=some_since).of_jvm(-signal.SIGTERM, served=True)
    assert OutOfMemoryKills().sentence() is None


def test_the_log_has_what_explains(tmp_path: Path) -> None:
    assert autopsy(tmp_path, "x" * 5000).log() == ("x" * 2000, "the last words")
    assert Autopsy(tmp_path / "nowhere", "1g").log() == ()


# Python itself prints nothing of a thread that ends so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_threads_of_an_interrupted_statement_end_and_earlier_ones_go_on() -> None:
    over = threading.Event()
    count = [0, 0]

    def work(index: int) -> None:
        while not over.is_set():
            count[index] += 1
            time.sleep(0.001)

    before = threading.Thread(target=work, args=(0,))
    before.start()
    threads = StartedThreads()
    threads.begin()
    mine = threading.Thread(target=work, args=(1,))
    mine.start()
    blocked = threading.Thread(target=over.wait, daemon=True)
    blocked.start()
    pool = ThreadPoolExecutor(1)
    queued = [pool.submit(work, 1) for _ in range(3)]
    wait_for(lambda: count[1], seconds=10, what="it works")
    threads.interrupt()
    threads.end()
    try:
        wait_for(lambda: not mine.is_alive(), seconds=10, what="the statement's thread has ended")
        assert all(one.done() for one in queued)
        assert pool.submit(lambda: "usable").result(10) == "usable"
        seen = count[0]
        wait_for(lambda: count[0] > seen, seconds=10, what="the earlier thread goes on")
    finally:
        over.set()
        before.join()
        blocked.join()
        pool.shutdown()


def test_a_statement_that_ends_by_itself_leaves_its_threads() -> None:
    over = threading.Event()
    threads = StartedThreads()
    threads.begin()
    mine = threading.Thread(target=over.wait)
    mine.start()
    threads.end()
    assert mine.is_alive()
    over.set()
    mine.join()


def test_a_family_is_killed_in_whichever_session_its_members_are() -> None:
    parent = subprocess.Popen(["sh", "-c", "setsid sleep 600 & sleep 600"])
    family = wait_for(
        lambda: found if len(found := psutil.Process(parent.pid).children()) == 2 else None,
        seconds=10,
        what="there are two children",
    )
    kill_family(parent.pid)
    assert parent.wait(10) == -signal.SIGKILL
    wait_for(
        lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family),
        seconds=10,
        what="the children have ended",
    )
