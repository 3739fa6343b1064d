"""Whatever ends a driver or a Python process, what was open says why, at once and from then on."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from livius.adapters.local.metastore import ready_file
from livius.installation.java import find_java
from support.gateway import Client, Gateway, RemoteSession, driver_folder
from support.shared import Spares
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(300)]

SLEEP = "import time; time.sleep(600)"
HEAP = "Iterator.continually(new Array[Long](10000000)).toList.size"


@pytest.fixture(autouse=True, scope="module")
def logged(shared: Gateway) -> Iterator[None]:
    """A driver's death is nothing that the gateway failed at."""
    log = shared.home / "test.log"
    before = log.stat().st_size
    yield
    assert b"Traceback" not in log.read_bytes()[before:]


@pytest.fixture
def session(client: Client, spares: Spares) -> Iterator[RemoteSession]:
    """One that the test may end."""
    assert client is not None
    with spares.taken() as session:
        yield session


def process(session: RemoteSession, name: str) -> psutil.Process:
    """The process of that name of a session's driver."""

    def named(process: psutil.Process) -> bool:
        command = process.cmdline()
        return process.name() == name or f"livius_agent{name}" in command

    gateway = session.client.gateway
    found = [one for one in gateway.driver_processes(driver_folder(session)) if named(one)]
    return min(found, key=lambda one: one.create_time())


def ended_session(session: RemoteSession) -> dict[str, Any]:
    return wait_for(
        lambda: found if (found := session.get())["state"] == "dead" else None,
        seconds=30,
        what="the session is dead",
    )


@pytest.mark.parametrize(
    ("name", "number", "said"),
    [
        ("java", signal.SIGKILL, "JVM was ended by signal 9 (SIGKILL)"),
        ("java", signal.SIGSEGV, "JVM was ended by signal 6 (SIGABRT)"),
        ("", signal.SIGKILL, "agent was ended by signal 9"),
        (".supervisor", signal.SIGKILL, "supervisor was killed"),
    ],
    ids=["killed JVM", "crashed JVM", "killed agent", "killed supervisor"],
)
def test_a_process_of_the_driver_is_killed(
    shared: Gateway, session: RemoteSession, name: str, number: signal.Signals, said: str
) -> None:
    folder, victim = driver_folder(session), process(session, name)
    running, waiting = session.submit(SLEEP), session.submit("1")
    wait_for(lambda: session.statement(running)["state"] == "running", seconds=30, what="it runs")
    victim.send_signal(number)
    assert_ended(session, running, waiting, said)
    wait_for(
        lambda: not shared.driver_processes(folder),
        seconds=20,
        what="nothing of the driver is left",
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("System.exit(3)", "JVM ended with exit code 3: code of the session ended it"),
        (HEAP, "ran out of memory (Java heap space). The session's heap is 600m"),
    ],
    ids=["exit", "heap"],
)
def test_the_sessions_code_ends_the_driver(session: RemoteSession, code: str, said: str) -> None:
    running, waiting = session.submit(code, "spark"), session.submit("1")
    body = assert_ended(session, running, waiting, said)
    if code == HEAP:
        assert any("java.lang.OutOfMemoryError" in line for line in body["log"])


def assert_ended(session: RemoteSession, running: int, waiting: int, said: str) -> dict[str, Any]:
    """Statements and session have the same reason, also later."""
    first = session.wait(running, 60)
    assert first["state"] == "available"
    assert first["output"]["ename"] == "SessionEnded"
    reason = first["output"]["evalue"]
    assert said in reason
    assert session.wait(waiting, 10)["output"]["evalue"] == reason
    body = ended_session(session)
    assert (body["result"], body["errorInfo"]) == (
        "Failed",
        [{"message": reason, "errorCode": "SparkDriverDied", "source": "Unknown"}],
    )
    assert body["fabricSessionStateInfo"] == {"state": "error", "errorMessage": reason}
    assert body["livyInfo"]["currentState"] == "dead"
    log_lines = [f"{line}\n" for line in body["log"]]
    assert first["output"]["traceback"] == log_lines
    assert not [line for line in log_lines if "log level" in line or "py4j" in line]
    assert session.statement(running) == first
    assert ended_session(session) == body
    answer = session.client.call("POST", f"{session.path}/statements", json={"code": "1"})
    assert answer.status_code == 404
    return body


def test_python_processes_end_and_the_session_goes_on(session: RemoteSession) -> None:
    session.run("create temp view kept as select 7 a", "sql")
    for code, said in (
        ("import os; os._exit(5)", "exit code 5"),
        ("import ctypes; ctypes.string_at(0)", "signal 11"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
    ):
        output = session.run(code)
        assert output["ename"] == "ReplEnded"
        assert said in output["evalue"]
        assert "variables are lost" in output["evalue"]
        assert session.rows("select * from kept") == [[7]]
    zygote = process(session, ".zygote")
    number = session.submit(SLEEP)
    wait_for(lambda: session.statement(number)["state"] == "running", seconds=30, what="it runs")
    zygote.kill()
    assert "forked from" in session.wait(number, 30)["output"]["evalue"]
    assert session.text("1 + 1") == "2"
    assert session.rows("select * from kept") == [[7]]
    session.text("kept = 1")
    output = session.run(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**31, -1))\nb' ' * 2**32"
    )
    assert output["ename"] == "MemoryError"
    assert session.text("kept") == "1"


def test_java_that_hangs_or_does_not_run_is_told_with_its_last_lines(gateway: Gateway) -> None:
    real = find_java(None, gateway.home)
    assert real is not None
    false_home = gateway.home.parent / "java"
    mode = false_home / "mode"
    (false_home / "bin").mkdir(parents=True)
    false = false_home / "bin" / "java"
    false.write_text(
        f"""#!/bin/sh
case "$*" in *-version*|*livius.Metastore*) exec {real.binary} "$@";; esac
if [ "$(cat {mode})" = hangs ]; then echo still waiting for a disk >&2; exec sleep 600; fi
echo Error: the image of Java is damaged >&2; exit 1
"""
    )
    false.chmod(0o755)
    gateway.settings = {"LIVIUS_JAVA_HOME": str(false_home), "LIVIUS_START_TIMEOUT": "PT15S"}
    client = gateway.start().client()
    # The start that is measured is Spark's; the first one waits for the metastore too.
    wait_for(ready_file(gateway.home / "metastore").exists, seconds=60, what="it is up")
    for how, said, line in (
        ("hangs", "did not start within 15 seconds", "still waiting for a disk"),
        ("ends", "exit code 1 before Spark was up", "the image of Java is damaged"),
    ):
        mode.write_text(how)
        session = client.create()
        waiting = session.submit("1")
        body = ended_session(session)
        assert said in body["errorInfo"][0]["message"]
        assert any(line in one for one in body["log"])
        assert said in session.wait(waiting, 10)["output"]["evalue"]
    gateway.stop()
    assert gateway.processes() == []


def test_a_full_disk_refuses_new_work_and_takes_it_again_when_there_is_room(
    gateway: Gateway,
) -> None:
    gateway.home.mkdir(mode=0o700, parents=True)
    status = os.statvfs(gateway.home)
    gibibyte = 2**30
    gateway.settings = {
        "LIVIUS_DISK_RESERVE": str(status.f_bavail * status.f_frsize - 2 * gibibyte)
    }
    client = gateway.start().client()
    with client.session() as session:
        ballast = gateway.home.parent / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 4 * gibibyte)
            for path, body in (("/sessions", {}), (f"{session.path}/statements", {"code": "1"})):
                refused = client.call("POST", path, json=body)
                assert refused.status_code == 503, refused.text
                assert refused.json()["errorCode"] == "InsufficientStorage"
                assert refused.json()["isRetriable"] is True
                assert int(refused.headers["Retry-After"]) > 0
            assert session.get()["state"] == "idle"
        ballast.unlink()
        assert session.text("1 + 1") == "2"
