"""The contract of launchers: the scripted one of the unit tests, and real processes."""

import asyncio
import gc
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

import livius_agent.supervisor
from fakes.world import ScriptedLauncher
from livius.adapters.local.launcher import LocalLaunch, LocalLauncher
from livius.adapters.local.os_users import SharedOsUser
from livius.adapters.local.runtimes import Runtime
from livius.adapters.logs import FileDriverLogs
from livius.domain.ids import DriverId, LakehouseId, PrincipalId, ReplId, WorkspaceId, new_id
from livius.ports.launcher import Binding, DriverState, Launcher, LaunchSpec
from livius_agent.spec import (
    DRIVER_SPEC,
    MARKER,
    PID_RECORD,
    STDERR,
    STDOUT,
    WORK,
    DriverSpec,
    is_running,
    read,
)
from support.waiting import wait_for

STUB_AGENT = """
import subprocess, sys, time
print("the agent began", flush=True)
# A grandchild that leaves its process group and its parent behind, as daemons do.
daemon = "import os, time; os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", daemon])
time.sleep(600)
"""


async def metastore() -> str:
    return "thrift://127.0.0.1:1"


def local_launcher(folder: Path, agent: str) -> LocalLauncher:
    """The real launcher and supervisor, with a stand-in for what they keep."""
    package = folder / "agent" / "livius_agent"
    package.mkdir(parents=True)
    source = Path(livius_agent.supervisor.__file__).parent
    parts = ("files", "supervisor", "memory", "mount", "process", "redact", "spec", "text")
    for name in ("__init__", *parts):
        shutil.copy(source / f"{name}.py", package)
    (package / "__main__.py").write_text(agent)
    runtime = Runtime(
        name="2.0",
        folder=folder,
        python=Path(sys.executable),
        spark_home=folder,
        jars=(),
        java=Path("/nowhere/bin/java"),
    )
    common = LocalLaunch(
        drivers=folder / "drivers",
        lakehouses=folder / "onelake",
        environments=folder / "environments",
        names=folder / "names",
        agent=package.parent,
        address_file=folder / "address.json",
        users=SharedOsUser(),
        master="local[2]",
        memory="1g",
        java_options=("-Dtold=by the operator", "-XX:Tier4InvocationThreshold=1"),
        show_lakehouse=False,
        lease_seconds=60,
        cancel_seconds=10.0,
        output_limit_bytes=1000,
        disk_reserve_bytes=0,
        event_log_limit=64 * 2**20,
        sql_row_limit=10,
    )
    return LocalLauncher(common, runtime, {"2.0": runtime}.__getitem__, metastore)


@pytest.fixture(params=["scripted", "local"])
async def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Launcher]:
    made: Launcher = (
        ScriptedLauncher() if request.param == "scripted" else local_launcher(tmp_path, STUB_AGENT)
    )
    yield made
    for driver in await made.known():
        await made.end(driver)


def spec() -> LaunchSpec:
    return LaunchSpec(
        driver=DriverId(new_id()),
        repl=ReplId(new_id()),
        runtime="2.0",
        secret="a-secret",
        binding=Binding(
            submitter=PrincipalId(new_id()),
            workspace=WorkspaceId(new_id()),
            lakehouse=LakehouseId(new_id()),
            database="bronze",
            name="demo",
            conf={"spark.x": "--not-a-flag"},
        ),
    )


async def test_before_the_launch_a_driver_is_absent(launcher: Launcher) -> None:
    driver = DriverId(new_id())
    assert (await launcher.observe(driver)).vital is DriverState.ABSENT
    assert await launcher.known() == frozenset()
    await launcher.end(driver)
    assert await launcher.log_tail(driver) == ()


async def test_a_launched_driver_is_alive_and_known(launcher: Launcher) -> None:
    wanted = spec()
    await launcher.launch(wanted)
    assert (await launcher.observe(wanted.driver)).vital is DriverState.ALIVE
    assert await launcher.known() == {wanted.driver}


async def test_an_ended_driver_says_how_and_is_known_no_more(launcher: Launcher) -> None:
    wanted = spec()
    await launcher.launch(wanted)
    await launcher.end(wanted.driver)
    observed = await launcher.observe(wanted.driver)
    assert observed.vital is DriverState.ENDED
    assert observed.end is not None
    assert observed.end.signal == 15
    assert await launcher.known() == frozenset()
    await launcher.end(wanted.driver)
    await launcher.remove(wanted.driver)
    assert (await launcher.observe(wanted.driver)).vital is DriverState.ABSENT


# Tests that need real processes.


def marked(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER, "").startswith(str(folder)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


async def test_every_descendant_ends_and_the_temporary_folder_goes(tmp_path: Path) -> None:
    launcher, wanted = local_launcher(tmp_path, STUB_AGENT), spec()
    await launcher.launch(wanted)
    wait_for(lambda: len(marked(tmp_path)) >= 2, seconds=10, what="the daemon runs")
    await launcher.end(wanted.driver)
    assert marked(tmp_path) == []
    folder = tmp_path / "drivers" / wanted.driver
    assert not (folder / WORK).exists()
    assert not (folder / "secret").exists()
    assert not (folder / "driver.json").exists()
    assert await launcher.log_tail(wanted.driver) == ("the agent began",)


async def test_an_operator_may_change_when_java_optimizes(tmp_path: Path) -> None:
    launcher, wanted = local_launcher(tmp_path, STUB_AGENT), spec()
    await launcher.launch(wanted)
    written = read(tmp_path / "drivers" / wanted.driver / DRIVER_SPEC, DriverSpec)
    await launcher.end(wanted.driver)
    assert written is not None
    found = [one for one in written.java_options if "Tier4InvocationThreshold" in one]
    assert (len(found), found[-1]) == (2, "-XX:Tier4InvocationThreshold=1")  # the last one counts


async def test_the_descendants_of_a_killed_supervisor_are_swept(tmp_path: Path) -> None:
    launcher, wanted = local_launcher(tmp_path, STUB_AGENT), spec()
    await launcher.launch(wanted)
    wait_for(lambda: len(marked(tmp_path)) >= 2, seconds=10, what="the daemon runs")
    supervisor = launcher._process(wanted.driver).supervisor()
    assert supervisor is not None
    psutil.Process(supervisor.pid).kill()
    wait_for(lambda: not is_running(supervisor), seconds=10, what="the supervisor is gone")
    assert (await launcher.observe(wanted.driver)).vital is DriverState.ENDED
    await launcher.end(wanted.driver)
    assert marked(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", '{"pid": "1", "started": 0}', "[1]", "[" * 100_000])
async def test_a_record_that_cant_be_read_is_set_aside_and_its_driver_ended(
    tmp_path: Path, text: str
) -> None:
    """A power cut is enough to break one."""
    launcher, wanted = local_launcher(tmp_path, STUB_AGENT), spec()
    await launcher.launch(wanted)
    record = tmp_path / "drivers" / wanted.driver / PID_RECORD
    record.write_text(text)
    new = LocalLauncher(launcher._common, launcher._default, launcher._runtime, metastore)
    with capture_logs() as said:
        assert await new.known() == {wanted.driver}
        assert (await new.observe(wanted.driver)).vital is DriverState.ENDED
    assert [one["event"] for one in said] == ["record_set_aside"]
    await new.end(wanted.driver)
    assert marked(tmp_path) == []
    assert await new.known() == frozenset()


async def test_a_log_that_is_no_file_is_no_log(tmp_path: Path) -> None:
    launcher, wanted = local_launcher(tmp_path, STUB_AGENT), spec()
    await launcher.launch(wanted)
    await launcher.end(wanted.driver)
    folder = tmp_path / "drivers" / wanted.driver
    for name in (STDOUT, STDERR):
        (folder / name).unlink()
    os.mkfifo(folder / STDOUT)
    (folder / STDERR).symlink_to("/etc/passwd")
    async with asyncio.timeout(10):
        assert await launcher.log_tail(wanted.driver) == ()
        assert await FileDriverLogs(tmp_path / "drivers").files(wanted.driver) == []


async def test_a_launcher_made_anew_knows_the_drivers_of_the_old_one(tmp_path: Path) -> None:
    old, wanted = local_launcher(tmp_path, STUB_AGENT), spec()
    await old.launch(wanted)
    new = LocalLauncher(old._common, old._default, old._runtime, metastore)
    assert await new.known() == {wanted.driver}
    assert (await new.observe(wanted.driver)).vital is DriverState.ALIVE
    await new.end(wanted.driver)
    assert marked(tmp_path) == []


async def test_drivers_of_the_pool_are_those_of_the_present_builds(tmp_path: Path) -> None:
    launcher = local_launcher(tmp_path, STUB_AGENT)
    assert launcher.fingerprint("one") == launcher.fingerprint("one")
    assert launcher.fingerprint("one") != launcher.fingerprint("another")


async def test_a_second_launch_of_a_running_driver_changes_nothing(tmp_path: Path) -> None:
    launcher, wanted = local_launcher(tmp_path, STUB_AGENT), spec()
    await launcher.launch(wanted)
    before = launcher._process(wanted.driver).supervisor()
    await launcher.launch(wanted)
    assert launcher._process(wanted.driver).supervisor() == before
    await launcher.end(wanted.driver)


@pytest.mark.parametrize(
    ("agent", "code", "signal"),
    [("raise SystemExit(7)", 7, None), ("import os; os.kill(os.getpid(), 9)", None, 9)],
)
async def test_an_exit_is_recorded_as_it_was(
    tmp_path: Path, agent: str, code: int | None, signal: int | None
) -> None:
    launcher, wanted = local_launcher(tmp_path, agent), spec()
    await launcher.launch(wanted)

    kept = launcher._process(wanted.driver)
    wait_for(lambda: kept.exit() is not None, seconds=10, what="the exit is recorded")
    wait_for(lambda: kept.supervisor() is None, seconds=10, what="the supervisor has ended")
    end = (await launcher.observe(wanted.driver)).end
    assert end is not None
    assert (end.code, end.signal) == (code, signal)


async def test_the_secret_is_in_a_private_file_and_nowhere_else(tmp_path: Path) -> None:
    launcher, wanted = local_launcher(tmp_path, STUB_AGENT), spec()
    await launcher.launch(wanted)
    folder = tmp_path / "drivers" / wanted.driver
    assert (folder / WORK / "secret").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    for process in marked(tmp_path):
        with suppress(psutil.NoSuchProcess):  # one that only started the others has ended
            assert "a-secret" not in " ".join(process.cmdline())
            assert "a-secret" not in str(process.environ())
    await launcher.end(wanted.driver)


class Begun:
    """Tells when a launch has started its process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.event = asyncio.Event()
        self.processes: list[asyncio.subprocess.Process] = []
        self._start = asyncio.create_subprocess_exec
        monkeypatch.setattr(asyncio, "create_subprocess_exec", self)

    async def __call__(self, *arguments: object, **more: object) -> asyncio.subprocess.Process:
        process = await self._start(*arguments, **more)  # type: ignore[arg-type]
        self.processes.append(process)
        self.event.set()
        return process


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancelled_launch_leaves_a_driver_that_the_next_launcher_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    launcher, wanted, begun = local_launcher(tmp_path, STUB_AGENT), spec(), Begun(monkeypatch)
    launch = asyncio.create_task(launcher.launch(wanted))
    await begun.event.wait()
    for _ in range(times):
        launch.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await launch
    # All that is ours has ended; every reader finds the supervisor, and it is not started twice.
    assert [process.returncode for process in begun.processes] == [0]
    gc.collect()  # which would find a transport that was left open
    new = LocalLauncher(launcher._common, launcher._default, launcher._runtime, metastore)
    assert (await new.observe(wanted.driver)).vital is DriverState.ALIVE
    await new.launch(wanted)
    assert len(begun.processes) == 1
    await new.end(wanted.driver)
    assert marked(tmp_path) == []


async def test_a_launch_that_is_cancelled_before_its_process_leaves_nothing_or_a_driver(
    tmp_path: Path,
) -> None:
    launcher, wanted = local_launcher(tmp_path, STUB_AGENT), spec()
    launch = asyncio.create_task(launcher.launch(wanted))
    await asyncio.sleep(0)
    launch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launch
    gc.collect()
    await launcher.launch(wanted)
    assert (await launcher.observe(wanted.driver)).vital is DriverState.ALIVE
    await launcher.end(wanted.driver)
    assert marked(tmp_path) == []


async def test_a_cancelled_launch_that_fails_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher, wanted, begun = local_launcher(tmp_path, STUB_AGENT), spec(), Begun(monkeypatch)
    supervisor = tmp_path / "agent" / "livius_agent" / "supervisor.py"
    supervisor.write_text("raise SystemExit(3)")
    launch = asyncio.create_task(launcher.launch(wanted))
    await begun.event.wait()
    launch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launch
    assert [process.returncode for process in begun.processes] == [3]
    gc.collect()
    assert (await launcher.observe(wanted.driver)).vital is DriverState.ABSENT
