"""Event logs in folders that hostile drivers may have filled."""

import asyncio
import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from livius.adapters.local.event_logs import FileEventLogs
from livius.domain.ids import DriverId
from livius.ports.history import EventLog
from livius_agent.spec import EVENT_LOG

DRIVER = DriverId("d")
MIB = 2**20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drivers" / DRIVER / EVENT_LOG
    made.mkdir(parents=True)
    return made


@pytest.fixture
def logs(tmp_path: Path) -> FileEventLogs:
    return FileEventLogs(tmp_path / "drivers", limit=MIB)


async def test_a_log_is_found_while_it_is_written_and_later(
    folder: Path, logs: FileEventLogs
) -> None:
    assert await logs.find(DRIVER) is None
    assert await logs.zipped(DRIVER, "local-1") is None
    assert await logs.find(DriverId("unknown")) is None
    running = folder / "events.zstd.inprogress"
    running.write_bytes(b"")
    assert await logs.find(DRIVER) is None
    running.write_bytes(b"some")
    assert await logs.find(DRIVER) == EventLog(size=4, is_full=False)
    (folder / "full").touch()
    running.rename(folder / "events.zstd")
    assert await logs.find(DRIVER) == EventLog(size=4, is_full=True)
    archive = await logs.zipped(DRIVER, "local-1")
    assert archive is not None
    with archive, zipfile.ZipFile(archive) as found:
        assert {name: found.read(name) for name in found.namelist()} == {"local-1.zstd": b"some"}


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
async def test_only_regular_files_are_read(folder: Path, logs: FileEventLogs, kind: str) -> None:
    place = folder / "events.zstd"
    secret = folder.parent / "secret"
    secret.write_text("secret")
    match kind:
        case "link":
            place.symlink_to(secret)
        case "pipe":
            os.mkfifo(place)
        case _:
            place.mkdir()
    assert await logs.find(DRIVER) is None
    with pytest.raises(OSError, match=r"."):
        logs.copy(DRIVER, BytesIO())


def test_a_link_in_place_of_the_folder_is_not_followed(folder: Path, logs: FileEventLogs) -> None:
    elsewhere = folder.parent / "elsewhere"
    folder.rename(elsewhere)
    (elsewhere / "events.zstd").write_bytes(b"some")
    folder.symlink_to(elsewhere)
    assert asyncio.run(logs.find(DRIVER)) is None
    with pytest.raises(OSError, match=r"."):
        logs.copy(DRIVER, BytesIO())


def test_no_more_is_copied_than_an_honest_driver_writes(folder: Path, logs: FileEventLogs) -> None:
    with (folder / "events.zstd").open("wb") as file:
        file.truncate(200 * MIB)
    copied = BytesIO()
    logs.copy(DRIVER, copied)
    assert copied.tell() == 80 * MIB


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_hard_link_to_a_file_of_another_user_is_not_read(
    folder: Path, logs: FileEventLogs
) -> None:
    secret = folder.parent / "secret"
    secret.write_text("secret")
    os.link(secret, folder / "events.zstd")
    assert await logs.find(DRIVER) is not None
    os.chown(folder, 54321, 54321)
    assert await logs.find(DRIVER) is None
    with pytest.raises(PermissionError):
        logs.copy(DRIVER, BytesIO())
