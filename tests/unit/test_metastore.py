"""The metastore's watch and its end, with a real supervisor over a stand-in for Java."""

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from livius.adapters.local import metastore
from livius.adapters.local.metastore import LocalMetastore
from livius.adapters.local.os_users import SharedOsUser
from livius.adapters.local.runtimes import Runtime
from livius_agent.spec import MARKER, SUPERVISOR_SPEC, SupervisorSpec, read, write
from support.gateway import ROOT
from support.tasks import running as running_beside

JAVA = """#!/bin/sh
for argument; do
  test "$before" = --ready && echo '{"port": 1}' >"$argument.new" && mv "$argument.new" "$argument"
  before=$argument
done
exec sleep 600
"""


def marked(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(folder):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture
async def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalMetastore]:
    monkeypatch.setattr(metastore, "_WATCH_EVERY", 0.0)
    java = tmp_path / "java"
    java.write_text(JAVA)
    java.chmod(0o700)
    runtime = Runtime(
        name="r",
        folder=tmp_path,
        python=Path(sys.executable),
        spark_home=tmp_path,
        jars=(),
        java=java,
    )
    folder = tmp_path / "metastore"
    folder.mkdir()
    one = LocalMetastore(
        folder,
        runtime,
        ROOT / "src",
        lakehouses=tmp_path,
        names=tmp_path,
        users=SharedOsUser(),
    )
    yield one
    await one.end()
    assert marked(folder) == []


async def test_a_killed_one_is_launched_again(kept: LocalMetastore, tmp_path: Path) -> None:
    async with running_beside(kept.run()):
        await kept.uri()
        [first] = marked(tmp_path / "metastore")
        first.kill()
        async with asyncio.timeout(10):
            while [process.pid for process in marked(tmp_path / "metastore")] in ([], [first.pid]):
                await asyncio.sleep(0.01)
        assert await kept.end()


async def test_a_survivor_stays_unless_it_was_launched_for_the_other_setting(
    kept: LocalMetastore, tmp_path: Path
) -> None:
    """One that asks nobody who they are must not serve drivers of several users."""
    folder = tmp_path / "metastore"
    async with running_beside(kept.run()):
        await kept.uri()
        [first] = marked(folder)
    async with running_beside(kept.run()):
        await kept.uri()
        assert marked(folder) == [first]
    spec = read(folder / SUPERVISOR_SPEC, SupervisorSpec)
    assert spec is not None
    other = dataclasses.replace(spec, command=(*spec.command, "--callers", "callers.tsv"))
    write(folder / SUPERVISOR_SPEC, other)
    async with running_beside(kept.run()), asyncio.timeout(10):
        while marked(folder) in ([], [first]):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("moment", ["before it is launched", "launching", "running"])
async def test_an_ended_one_is_not_launched_again(kept: LocalMetastore, moment: str) -> None:
    with capture_logs() as logged:
        async with running_beside(kept.run()):
            if moment == "launching":
                while not kept._launching.locked():
                    await asyncio.sleep(0)
            if moment == "running":
                await kept.uri()
            ran = await kept.end()
            for _ in range(100):  # as often as it looks whether one runs
                await asyncio.sleep(0)
    assert ran == (moment != "before it is launched")
    assert [line["event"] for line in logged].count("metastore_launched") == ran


async def test_one_that_ends_at_its_start_is_told_at_once_with_its_words(
    kept: LocalMetastore, tmp_path: Path
) -> None:
    (tmp_path / "java").write_text("#!/bin/sh\necho 'Error: no such folder' >&2\nexit 3\n")
    with capture_logs() as logged:
        async with running_beside(kept.run()), asyncio.timeout(10):
            while not (failed := [x for x in logged if x["event"] == "metastore_failed"]):
                await asyncio.sleep(0.01)
            await kept.end()  # lets a launch that is on its way come to its end
    assert "Error: no such folder" in failed[0]["error"]


@pytest.mark.parametrize("broken", ["ready.json", "supervisor.json", "supervisor.pid", "port"])
async def test_a_file_that_cant_be_read_costs_the_survivor_and_not_the_gateway(
    kept: LocalMetastore, tmp_path: Path, broken: str
) -> None:
    async with running_beside(kept.run()):
        await kept.uri()
    folder = tmp_path / "metastore"
    first = marked(folder)
    [file] = folder.rglob(broken)
    file.write_text("{")
    async with running_beside(kept.run()), asyncio.timeout(20):
        while marked(folder) in ([], first) and broken != "port":
            await asyncio.sleep(0.01)
        assert await kept.uri()


@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_database_whose_making_was_cut_off_is_made_again(
    kept: LocalMetastore, tmp_path: Path, is_whole: bool
) -> None:
    database = tmp_path / "metastore" / "derby" / "db"
    (database / "seg0").mkdir(parents=True)
    if is_whole:
        (database / "service.properties").touch()
    async with running_beside(kept.run()):
        assert await kept.uri() == "thrift://127.0.0.1:1"
        assert database.exists() == is_whole
