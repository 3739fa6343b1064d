"""Readers of tables: whose turn it is, how long all may take, and how much is read of an answer."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from livius.adapters.local import table_readers
from livius.adapters.local.table_readers import Description, TableReaders
from livius.domain.errors import Unavailable
from livius.domain.ids import WorkspaceId, new_id

HELD = """
import json, sys
task = json.loads(sys.stdin.readline())
open(task["folder"] + "/go").close()  # it waits for a writer of the pipe
print(json.dumps({"folder": task["folder"]}))
"""
ENDLESS = """
import sys
sys.stdin.readline()
while True:
    sys.stdout.write("x" * 65536)
"""
A, B, C = (WorkspaceId(new_id()) for _ in range(3))


class Reads:
    """Reads that run, each of a folder that says whether it ends."""

    def __init__(self, home: Path) -> None:
        self.readers = TableReaders()
        self.home = home
        self.running: list[asyncio.Task[Description]] = []

    def begin(self, workspace: WorkspaceId, *, ends: bool = False) -> asyncio.Task[Description]:
        table = self.home / new_id()
        table.mkdir()
        if ends:
            (table / "go").touch()
        else:
            os.mkfifo(table / "go")
        reading = self.readers.describe(workspace, table, table.stat(), None, ())
        self.running.append(asyncio.create_task(reading))
        return self.running[-1]


@pytest.fixture
async def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reads]:
    monkeypatch.syspath_prepend(tmp_path)
    for name, code in {"held_reader": HELD, "endless_reader": ENDLESS}.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setattr(table_readers, "_PROGRAM", "held_reader")
    found = Reads(tmp_path)
    yield found
    for one in found.running:
        one.cancel()
    for one in found.running:
        with suppress(asyncio.CancelledError, Unavailable):
            await one


async def test_a_workspace_leaves_a_turn_to_others(reads: Reads) -> None:
    held = [reads.begin(A) for _ in range(3)]
    assert await reads.begin(B, ends=True)
    assert not any(one.done() for one in held)


async def test_the_wait_for_a_turn_has_the_reads_deadline(
    reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [reads.begin(A), reads.begin(B)]
    await asyncio.sleep(0)  # they have their turns
    monkeypatch.setattr(table_readers, "_WITHIN", 0.1)
    with pytest.raises(Unavailable, match="could not be read within"):
        await reads.begin(C, ends=True)
    assert not any(one.done() for one in held)


async def test_not_more_than_ten_wait_in_a_workspace(reads: Reads) -> None:
    held = [reads.begin(A) for _ in range(11)]
    with pytest.raises(Unavailable, match="Many tables of this workspace"):
        await reads.begin(A, ends=True)
    assert await reads.begin(B, ends=True)
    assert not any(one.done() for one in held)
    held[3].cancel()
    with suppress(asyncio.CancelledError):
        await held[3]
    again = reads.begin(A)
    await asyncio.sleep(0)
    assert not again.done(), "there is room for it"


async def test_an_endless_answer_is_not_read_to_its_end(
    reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_readers, "_PROGRAM", "endless_reader")
    with pytest.raises(Unavailable, match="could not be read here"):
        await reads.begin(A)
