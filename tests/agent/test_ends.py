"""Why a driver ended, and ending what a statement has started."""

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from livius_agent.memory import OutOfMemoryKills
from livius_agent.postmortem import Postmortem
from livius_agent.process import kill_family
from support.waiting import wait_for

NEVER = OutOfMemoryKills(group=2**60, machine=2**60)


def postmortem(folder: Path, stdout: str = "", kills: OutOfMemoryKills = NEVER) -> Postmortem:
    (folder / "stdout.log").write_text(stdout)
    (folder / "stderr.log").write_text('Setting default log level to "WARN".\n\nthe last words\n')
    return Postmortem(folder, "1g", kills)


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
    assert said in postmortem(tmp_path, stdout).of_jvm(code, served=True)


def test_java_that_ends_before_spark_is_up(tmp_path: Path) -> None:
    assert "before Spark was up" in postmortem(tmp_path).of_jvm(1, served=False)


def test_a_kill_for_memory_is_told_from_another(tmp_path: Path) -> None:
    some_since = OutOfMemoryKills(group=2**60, machine=-1)
    assert "want of memory" in postmortem(tmp_path, kills=some_since).of_jvm(
        -signal.SIGKILL, served=True
    )
    assert "memory" not in postmortem(tmp_path, kills=some_since).of_jvm(
        -signal.SIGTERM, served=True
    )
    assert OutOfMemoryKills().sentence() is None


def test_the_log_has_what_explains(tmp_path: Path) -> None:
    assert postmortem(tmp_path, "x" * 5000).log() == ("x" * 2000, "the last words")
    assert Postmortem(tmp_path / "nowhere", "1g").log() == ()


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
