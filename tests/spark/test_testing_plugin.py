"""`livius.testing` as a team uses it: a project's own tests, run by its own pytest."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.gateway import DEFAULTS, runtimes_folder
from support.waiting import wait_for

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.spark, pytest.mark.timeout(400)]

WITH_SPARK = """
import subprocess, sys, time

UNCHANGED = '''
import requests
answer = requests.get("https://api.fabric.microsoft.com/v1/workspaces", timeout=30)
print(answer.status_code, answer.json()["errorCode"])
'''


def run(livius, code):
    url = f"{livius.livy_url}/sessions"
    created = livius.http.post(url, json={}, timeout=60)
    assert created.status_code == 202, created.text
    url += "/" + created.json()["id"]
    while (session := livius.http.get(url, timeout=90).json())["state"] != "idle":
        assert session["state"] not in ("dead", "killed"), session
    sent = livius.http.post(f"{url}/statements", json={"code": code, "kind": "sql"}, timeout=60)
    statement = f"{url}/statements/{sent.json()['id']}"
    while (found := livius.http.get(statement, timeout=90).json())["state"] != "available":
        pass
    return found["output"]


def test_a_session(livius):
    output = run(livius, "SELECT current_database()")
    [[database]] = output["data"]["application/json"]["data"]
    assert database.startswith("t_test_a_session_")
    assert database == livius.lakehouse_name.lower()


def test_an_unchanged_program(livius):
    done = subprocess.run(
        [sys.executable, "-c", UNCHANGED], env=livius.environment, capture_output=True, text=True
    )
    assert done.stdout == "401 MissingToken\\n", done.stderr
"""
NOTES = """
import pytest
from pathlib import Path

@pytest.mark.parametrize("number", range(6))
def test_it(livius, number):
    answer = livius.http.get(f"{livius.livy_url}/sessions", timeout=60)
    assert answer.status_code == 200
    note = f"{livius.home} {livius.api_url} {livius.lakehouse_id} {livius.token.count('.')}"
    Path(FOLDER, str(number)).write_text(note)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("LIVIUS_RUNTIMES", str(runtimes_folder()))
    for name, value in DEFAULTS.items():
        monkeypatch.setenv(name, value)
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    return pytester


def write(project: pytest.Pytester, text: str) -> Path:
    notes = project.mkdir("notes")
    project.makepyfile(text.replace("FOLDER", repr(str(notes))))
    return notes


def of(home: str) -> list[psutil.Process]:
    """Every process that has something to do with a data folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if home in " ".join(process.cmdline()) or process.environ().get("LIVIUS_HOME") == home:
                found.append(process)
    return found


def test_tests_get_sessions_and_programs_are_intercepted(project: pytest.Pytester) -> None:
    write(project, WITH_SPARK)
    project.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


def test_workers_share_a_gateway_each_test_has_a_lakehouse_and_nothing_is_left(
    project: pytest.Pytester,
) -> None:
    notes = write(project, NOTES)
    project.runpytest_subprocess("-n", "2").assert_outcomes(passed=6)
    said = [path.read_text().split() for path in notes.iterdir()]
    homes, urls, lakehouses, dots = (set(one) for one in zip(*said, strict=True))
    assert (len(homes), len(urls), len(lakehouses), dots) == (1, 1, 6, {"2"})
    [home] = homes
    assert of(home) == []
    assert not Path(home).parent.exists()


HANGS = """
import threading
from pathlib import Path

def test_it(livius):
    Path(FOLDER, "home").write_text(livius.home.as_posix() + " ")
    threading.Event().wait()
"""


@pytest.fixture
def running(project: pytest.Pytester) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    notes = write(project, HANGS)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=project.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        note = notes / "home"
        text = wait_for(
            lambda: note.exists() and note.read_text(), seconds=120, what="the test runs"
        )
        yield process, str(text).strip()
    finally:
        process.kill()
        process.wait()


def test_a_run_that_is_killed_leaves_nothing(
    running: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, home = running
    assert of(home) != []
    process.kill()
    wait_for(lambda: not Path(home).parent.exists(), seconds=90, what="the guard has cleaned up")
    wait_for(lambda: of(home) == [], seconds=30, what="all processes have ended")


def test_without_a_runtime_the_test_says_what_to_do(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVIUS_RUNTIMES", str(project.path / "none"))
    project.makepyfile("def test_it(livius): pass\ndef test_other(): pass")
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "Livius's gateway for this test run: The gateway ended at its start.*",
            "*The runtime * is not set up in *. Set it up with: livius *",
        ]
    )
