"""A full disk is reported as such, and ends nothing."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from livius.adapters.outputs import FileOutputs
from livius.adapters.store import SqlStore, open_store
from livius.domain.errors import Unavailable
from livius.domain.ids import PrincipalId, ReplId, SessionId, StatementNumber, WorkspaceId, new_id
from livius.domain.lakehouse import Workspace

KEY = (SessionId(new_id()), ReplId(new_id()), StatementNumber(0))


async def test_an_output_that_finds_no_room(tmp_path: Path) -> None:
    outputs = FileOutputs(tmp_path)
    (tmp_path / KEY[0]).mkdir()
    for suffix in ("out", "partial"):
        (tmp_path / KEY[0] / f"{KEY[1]}-{KEY[2]}.{suffix}").symlink_to("/dev/full")
    with pytest.raises(Unavailable, match="No space left"):
        await outputs.write(*KEY, offset=0, data=b"text", most=1000)
    with pytest.raises(Unavailable, match="No space left"):
        await outputs.write_data(*KEY, b"{}")


@pytest.mark.parametrize("room", range(8, 16))
def test_a_disk_that_takes_a_part_keeps_whole_characters(tmp_path: Path, room: int) -> None:
    """The size that is acknowledged is where the agent goes on."""
    program = (
        "import asyncio, pathlib, resource, sys\n"
        "from livius.adapters.outputs import FileOutputs\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "outputs = FileOutputs(pathlib.Path(sys.argv[1]))\n"
        "write = outputs.write('s', 'r', 0, offset=0, data='aä台😀😀'.encode(), most=1000)\n"
        "print(asyncio.run(write))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(room)]
    size = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    stored = (tmp_path / "s" / "r-0.out").read_bytes()
    assert len(stored) == size > room - 4
    assert "aä台😀😀".startswith(stored.decode())


async def test_a_store_that_finds_no_room_takes_records_again_when_there_is_some(
    tmp_path: Path,
) -> None:
    transactions = open_store(tmp_path / "livius.db")
    store = SqlStore(transactions)

    async def pages(most: int) -> None:
        await transactions.run(
            lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={most}")
        )

    async def add() -> None:
        identity = WorkspaceId(new_id())
        workspace = Workspace(
            id=identity, name=identity + "x" * 100_000, created_at=datetime.now(UTC)
        )
        await store.add_workspace(workspace, PrincipalId(new_id()))

    async def fill() -> None:
        for _ in range(10):
            await add()

    try:
        await add()
        await pages(1)  # which is raised to the present size
        with pytest.raises(Unavailable, match="full"):
            await fill()
        before = len(await store.list_workspaces())
        await pages(1_000_000)
        await add()
        assert len(await store.list_workspaces()) == before + 1
    finally:
        store.close()
