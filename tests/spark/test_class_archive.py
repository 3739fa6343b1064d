"""Drivers map an archive of their classes, and start without one where it does not fit."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from livius.adapters.local.archives import ArchiveFailed, ClassArchive
from livius.adapters.local.runtimes import Runtime
from livius.installation.java import find_java
from livius.installation.recipes import recipe
from livius_agent.spec import CLASSES
from support.gateway import RUNTIME, Gateway, RemoteSession, runtime_folder

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """The Java that is there, and a class path of one file."""
    java = find_java(None, runtime_folder().parent, recipe(RUNTIME).java)
    assert java is not None
    jar = tmp_path / "one.jar"
    jar.write_bytes(b"a jar")
    return Runtime(
        name=RUNTIME,
        folder=tmp_path,
        python=runtime_folder() / "venv" / "bin" / "python",
        spark_home=tmp_path,
        jars=(jar,),
        java=java.binary,
    )


def archive_of(runtime: Runtime, tmp_path: Path) -> ClassArchive:
    return ClassArchive(runtime, tmp_path / "shared-classes", Path(__file__).parents[2] / "src")


def test_the_drivers_java_has_it_mapped(session: RemoteSession, gateway: Gateway) -> None:
    del session
    java = [process for process in gateway.driver_processes() if process.name() == "java"]
    assert java
    for process in java:
        mapped = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
        assert re.search(rf"/shared-classes/[^/]+/{CLASSES}$", mapped, re.MULTILINE)


def test_java_starts_with_one_that_is_broken(runtime: Runtime, tmp_path: Path) -> None:
    archive = archive_of(runtime, tmp_path)
    assert archive.options() == ()
    archive.path.mkdir(parents=True)
    (archive.path / CLASSES).write_bytes(b"no archive at all")
    done = subprocess.run(
        [runtime.java, *archive.options(), "-version"], capture_output=True, text=True, check=True
    )
    assert "version" in done.stderr
    assert "no archive" not in done.stdout + done.stderr


def test_another_class_path_is_another_archive(runtime: Runtime, tmp_path: Path) -> None:
    before = archive_of(runtime, tmp_path).path
    assert archive_of(runtime, tmp_path).path == before
    runtime.jars[0].write_bytes(b"another jar")
    assert archive_of(runtime, tmp_path).path != before


def test_a_training_that_fails_leaves_nothing(runtime: Runtime, tmp_path: Path) -> None:
    archive = archive_of(runtime, tmp_path)
    with pytest.raises(ArchiveFailed, match="ended with"):
        asyncio.run(archive.make())
    assert [path.name for path in archive.path.parent.iterdir()] == [".lock"]
    assert archive.options() == ()
