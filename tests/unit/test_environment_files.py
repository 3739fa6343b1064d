"""The folders of environments: what uv makes of them, and that nothing else is left.

uv has no index here: packages come from a folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from livius.adapters.local.environments import LocalEnvironments, library_paths
from livius.adapters.local.os_users import SharedOsUser
from livius.adapters.local.processes import end_group
from livius.adapters.local.python_packages import PythonPackages
from livius.domain.environment import (
    MOST_FILE_BYTES,
    MOST_FILES,
    Compute,
    EnvironmentVersion,
    Library,
)
from livius.domain.errors import Invalid, LiviusError, Unavailable
from livius.domain.ids import (
    EnvironmentId,
    EnvironmentVersionId,
    OperationId,
    WorkspaceId,
    new_id,
)
from support.environments import make_wheel

ENVIRONMENT = EnvironmentId(new_id())


class Bench:
    def __init__(self, folder: Path) -> None:
        self.index = folder / "index"
        self.index.mkdir()
        (folder / "environments").mkdir()
        self.folder = folder
        self.files = self.with_reserve(0)
        self.log: list[str] = []
        self.percents: list[int] = []

    def with_reserve(self, reserve: int) -> LocalEnvironments:
        return LocalEnvironments(
            folder=self.folder / "environments",
            users=SharedOsUser(),
            packages=PythonPackages(python_of=lambda _: Path(sys.executable)),
            reserve=reserve,
        )

    async def stage(self, name: str, *pieces: bytes) -> None:
        await self.files.stage(ENVIRONMENT, name, _pieces(pieces))

    def version(self, *libraries: str, files: Sequence[str] = ()) -> EnvironmentVersion:
        return EnvironmentVersion(
            id=EnvironmentVersionId(new_id()),
            environment=ENVIRONMENT,
            workspace=WorkspaceId(new_id()),
            operation=OperationId(new_id()),
            created_at=datetime.now(UTC),
            compute=Compute(runtime="2.0"),
            libraries=tuple(Library(name=one) for one in libraries),
            files=tuple(files),
        )

    async def build(self, version: EnvironmentVersion) -> Sequence[str]:
        async def progress(percent: int) -> None:
            self.percents.append(percent)

        packages = await self.files.build(version, log=self.log.append, progress=progress)
        return [str(one) for one in packages]

    def left(self) -> list[str]:
        """What stands beside the staged files."""
        of = self.folder / "environments" / ENVIRONMENT
        return sorted(one.name for one in of.iterdir() if one.name != "staged")


async def _pieces(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(made.index))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return made


async def test_a_version_has_what_the_runtime_lacks_and_is_read_only(bench: Bench) -> None:
    make_wheel(bench.index, "faraway", "1.5", "x = 1\n")
    wheel = make_wheel(bench.folder, "nearby", "2.0", "y = 2\n", "faraway>=1", "packaging")
    await bench.stage(wheel.name, wheel.read_bytes())
    await bench.stage("own.py", b"z ", b"= 3\n")
    await bench.stage("j.jar", b"PK")
    version = bench.version(files=await bench.files.staged(ENVIRONMENT))
    assert await bench.build(version) == ["faraway==1.5", "nearby==2.0"]
    assert bench.left() == [version.id]
    folder = bench.files.version(ENVIRONMENT, version.id)
    python, jars = library_paths(folder)
    names = {file.name for place in python for file in place.glob("*.py")}
    assert names == {"faraway.py", "nearby.py", "own.py"}
    assert [jar.name for jar in jars] == ["j.jar"]
    for path in (folder, *folder.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o222, path
    assert bench.percents == [10, 40, 90]
    assert "Added own.py." in bench.log
    assert not any(str(bench.folder) in line for line in bench.log)
    await bench.files.discard(ENVIRONMENT, version.id)
    assert bench.left() == []


async def test_drivers_of_other_users_pass_through_whatever_our_umask(bench: Bench) -> None:
    before = os.umask(0o077)
    try:
        await bench.stage("own.py", b"")
    finally:
        os.umask(before)
    of = bench.folder / "environments" / ENVIRONMENT
    assert stat.S_IMODE(of.stat().st_mode) == 0o711
    assert stat.S_IMODE((of / "staged").stat().st_mode) == 0o700


async def test_an_empty_version_needs_no_uv(bench: Bench) -> None:
    version = bench.version()
    assert await bench.build(version) == []
    assert library_paths(bench.files.version(ENVIRONMENT, version.id)) == ((), ())


async def fails(bench: Bench, version: EnvironmentVersion) -> str:
    with pytest.raises(LiviusError) as found:
        await bench.build(version)
    assert bench.left() == []
    assert str(bench.folder) not in found.value.message
    return found.value.message


async def test_a_package_that_is_nowhere(bench: Bench) -> None:
    assert "livius-nowhere" in await fails(bench, bench.version("livius-nowhere"))


async def test_pins_that_conflict(bench: Bench) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(bench.index, "shared", version, "")
    make_wheel(bench.index, "older", "1.0", "", "shared<2")
    make_wheel(bench.index, "newer", "1.0", "", "shared>=2")
    said = await fails(bench, bench.version("older", "newer"))
    assert "unsatisfiable" in said
    assert "shared" in said


async def test_a_pin_against_the_runtimes_own_package(bench: Bench) -> None:
    make_wheel(bench.index, "old_fashioned", "1.0", "", "packaging<20")
    said = await fails(bench, bench.version("old-fashioned"))
    assert "packaging" in said
    assert "unsatisfiable" in said


async def test_a_broken_wheel(bench: Bench) -> None:
    await bench.stage("broken-1.0-py3-none-any.whl", b"this is no zip")
    said = await fails(bench, bench.version(files=["broken-1.0-py3-none-any.whl"]))
    assert "broken" in said


async def test_a_wheel_with_a_wrong_name(bench: Bench) -> None:
    await bench.stage("x.whl", b"")
    assert "not named as a wheel" in await fails(bench, bench.version(files=["x.whl"]))


@pytest.mark.parametrize(
    "need",
    [
        "faraway @ {}",
        "faraway@{}",
        "faraway\n @ {}",
        "faraway @ {} ; extra == 'dev'",
        "=?utf-8?q?faraway_=40_{}?=",
    ],
)
async def test_a_wheel_that_needs_an_address_is_refused_before_uv_sees_it(
    bench: Bench, need: str
) -> None:
    other = make_wheel(bench.folder, "faraway", "1.5", "x = 1\n")
    wheel = make_wheel(bench.folder, "nearby", "2.0", "", need.format(other.as_uri()))
    await bench.stage(wheel.name, wheel.read_bytes())
    said = await fails(bench, bench.version(files=[wheel.name]))
    assert said.startswith(f"{wheel.name} is needed from an address, or needs a package from one")
    assert bench.log == []


async def test_what_gets_past_that_is_not_installed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livius.adapters.local.python_packages._addresses", lambda _: False)
    other = make_wheel(bench.folder, "faraway", "1.5", "x = 1\n")
    wheel = make_wheel(bench.folder, "nearby", "2.0", "", f"faraway @ {other.as_uri()}")
    await bench.stage(wheel.name, wheel.read_bytes())
    said = await fails(bench, bench.version(files=[wheel.name]))
    assert said.startswith("faraway is needed from an address")


async def test_a_wheels_own_version_and_description_may_have_any_character(bench: Bench) -> None:
    name = "nearby-2.0+local.1-py3-none-any.whl"
    wheel = make_wheel(
        bench.folder, "nearby", "2.0+local.1", "", "packaging\n\nRequires-Dist: x @ file:///x"
    )
    await bench.stage(name, wheel.read_bytes())
    assert await bench.build(bench.version(files=[name])) == ["nearby==2.0+local.1"]


async def test_a_package_that_must_be_built_is_refused(bench: Bench, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    source = bench.index / "unbuilt-1.0.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("unbuilt-1.0/setup.py", f"open({str(ran)!r}, 'w')\n")
        archive.writestr("unbuilt-1.0/PKG-INFO", "Metadata-Version: 1.0\nName: unbuilt\n")
    said = await fails(bench, bench.version("unbuilt"))
    assert "unbuilt" in said
    assert not ran.exists()


async def test_r_files_are_stored_and_the_log_says_so(bench: Bench) -> None:
    await bench.stage("m.R", b"x <- 1")
    version = bench.version(files=["m.R"])
    await bench.build(version)
    assert (bench.files.version(ENVIRONMENT, version.id) / "files" / "m.R").exists()
    [said] = bench.log
    assert said.startswith("m.R is stored, but no session can use it: the runtimes have no R.")


async def test_a_file_that_was_removed_meanwhile(bench: Bench) -> None:
    assert "gone.py was removed" in await fails(bench, bench.version(files=["gone.py"]))


async def test_a_file_that_was_replaced_meanwhile(bench: Bench) -> None:
    await bench.stage("own.py", b"1")
    version = bench.version(files=["own.py"])
    await asyncio.sleep(0.02)  # the clock of files has a coarse tick
    await bench.stage("own.py", b"2")
    assert "own.py was replaced" in await fails(bench, version)
    await bench.build(bench.version(files=["own.py"]))


async def test_a_cancel_ends_uv_and_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "uv"
    pid = tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {pid}.part; mv {pid}.part {pid}\nsleep 300 & wait\n")
    program.chmod(0o700)
    monkeypatch.setattr("livius.adapters.local.python_packages.find_uv_bin", lambda: str(program))
    building = asyncio.create_task(bench.build(bench.version("slow")))
    async with asyncio.timeout(20):
        while not pid.exists():
            await asyncio.sleep(0.01)
    group = int(pid.read_text())
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert bench.left() == []
    async with asyncio.timeout(5):  # its children end at the same signal, a moment later
        while _running_in(group):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("first", "sent"),
    [
        ("", [signal.SIGTERM]),
        ("trap '' TERM; ", [signal.SIGTERM, signal.SIGKILL]),
    ],
)
async def test_force_is_used_only_on_what_still_runs(
    monkeypatch: pytest.MonkeyPatch, first: str, sent: list[signal.Signals]
) -> None:
    numbers: list[int] = []
    kill = os.killpg

    def killpg(group: int, number: int) -> None:
        numbers.append(number)
        kill(group, number)

    monkeypatch.setattr(os, "killpg", killpg)
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"{first}echo ready; sleep 300"),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    await end_group(process, within=5.0 if len(sent) == 1 else 0.3)
    assert numbers == sent
    assert process.returncode == -sent[-1]
    await end_group(process, within=1.0)
    assert numbers == sent


def _running_in(group: int) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(one.pid) == group and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


async def test_a_full_disk_refuses_files_and_leaves_nothing(bench: Bench) -> None:
    await bench.stage("a.py", b"before")
    bench.files = bench.with_reserve(1 << 60)
    with pytest.raises(Unavailable, match="disk"):
        await bench.stage("a.py", b"after")
    bench.files = bench.with_reserve(0)
    staged = bench.folder / "environments" / ENVIRONMENT / "staged"
    assert [one.name for one in staged.iterdir()] == ["a.py"]
    assert (staged / "a.py").read_bytes() == b"before"


async def test_what_a_killed_gateway_left_of_an_upload_is_removed(bench: Bench) -> None:
    await bench.stage("a.py", b"whole")
    staged = bench.folder / "environments" / ENVIRONMENT / "staged"
    uploading = asyncio.create_task(bench.files.stage(ENVIRONMENT, "b.py", _endless()))
    async with asyncio.timeout(10):
        while not [one for one in staged.iterdir() if one.suffix == ".partial"]:
            await asyncio.sleep(0.01)
    [partial] = [one for one in staged.iterdir() if one.suffix == ".partial"]
    kept = partial.read_bytes()
    uploading.cancel()
    with suppress(asyncio.CancelledError):
        await uploading
    partial.write_bytes(kept)  # as a kill leaves it
    bench.files.remove_unfinished()
    assert [one.name for one in staged.iterdir()] == ["a.py"]
    assert (staged / "a.py").read_bytes() == b"whole"


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(0.01)


async def test_a_file_that_is_too_large_is_refused(bench: Bench) -> None:
    piece = b"x" * (MOST_FILE_BYTES // 4)
    with pytest.raises(Invalid, match="at most"):
        await bench.stage("a.py", *(piece for _ in range(5)))
    assert await bench.files.staged(ENVIRONMENT) == []


async def test_there_are_no_more_files_than_may_be_though_they_come_at_once(bench: Bench) -> None:
    for number in range(MOST_FILES - 1):
        await bench.stage(f"f{number}.py", b"")
    begun, all_begun = [], asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        begun.append(1)
        if len(begun) == 8:
            all_begun.set()
        await all_begun.wait()
        yield b"x"

    done = await asyncio.gather(
        *(bench.files.stage(ENVIRONMENT, f"more{n}.py", content()) for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Invalid) for one in done) == 7
    assert len(await bench.files.staged(ENVIRONMENT)) == MOST_FILES
    await bench.stage("f0.py", b"another")  # in place of one that is there
    with pytest.raises(Invalid, match="at most"):
        await bench.stage("one_more.py", b"")
    assert (
        len(list((bench.folder / "environments" / ENVIRONMENT / "staged").iterdir())) == MOST_FILES
    )


async def test_staged_files_are_removed_and_known(bench: Bench) -> None:
    await bench.stage("b.py", b"")
    await bench.stage("a.py", b"")
    assert await bench.files.staged(ENVIRONMENT) == ["a.py", "b.py"]
    assert await bench.files.unstage(ENVIRONMENT, "a.py")
    assert not await bench.files.unstage(ENVIRONMENT, "a.py")
    version = bench.version()
    await bench.build(version)
    known: Any = {(ENVIRONMENT, None), (ENVIRONMENT, version.id)}
    assert await bench.files.known() == known
    await bench.files.discard(ENVIRONMENT, version.id)
    await bench.files.discard_staged(ENVIRONMENT)
    assert await bench.files.known() == frozenset()
