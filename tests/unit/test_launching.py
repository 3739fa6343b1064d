"""The needs of a per-user launch, and the numbers of its users."""

import asyncio
import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from livius.adapters.local.lakehouse_browser import LocalLakehouseBrowser
from livius.adapters.local.lakehouses import LocalLakehouses
from livius.adapters.local.os_users import WORKSPACES, PerPrincipalOsUsers, SharedOsUser
from livius.adapters.store import SqlStore, open_store
from livius.domain.errors import Conflict, NotFound, Unavailable
from livius.domain.ids import LakehouseId, PrincipalId, WorkspaceId, new_id
from livius.installation.launching import check_launch
from livius.installation.progress import SetupFailed
from livius.settings import Settings
from livius_agent.process import listeners

NUMBERS = range(2_100_000, 2_110_000)
SCHEMA = {
    "type": "struct",
    "fields": [{"name": "id", "type": "long", "nullable": True, "metadata": {}}],
}
ABOUT = {
    "id": "t",
    "format": {"provider": "parquet", "options": {}},
    "schemaString": json.dumps(SCHEMA),
    "partitionColumns": [],
    "configuration": {},
}
LOG = "\n".join(
    map(
        json.dumps,
        ({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": ABOUT}),
    )
)
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def test_without_root_the_start_is_refused_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupFailed, match=r"run as root .* runs as uid 1000.*unset LIVIUS_LAUNCH"):
        check_launch(NUMBERS, Path(sys.executable), ())


@only_root
def test_numbers_that_the_machine_has_are_refused() -> None:
    with pytest.raises(SetupFailed, match="users or groups of this machine"):
        check_launch(range(10_000), Path(sys.executable), ())


@only_root
def test_what_drivers_could_not_reach_is_named_with_what_hides_it(tmp_path: Path) -> None:
    python = Path("/bin/sh")  # no Python, but whatever it is, others can run it
    hidden = tmp_path / "closed" / "jar"
    hidden.parent.mkdir(mode=0o700)
    hidden.touch()
    with pytest.raises(SetupFailed, match=r"LIVIUS_HOME.*chmod o\+x"):
        check_launch(NUMBERS, python, (hidden,))
    with pytest.raises(SetupFailed, match=r"Closed to them: /"):
        check_launch(NUMBERS, hidden.parent / "python", ())


@pytest.mark.parametrize("text", ["1-2", "1000-90000", "2000000-2000100", "9-x", "9-9999999999"])
def test_ranges_that_can_not_do_are_refused(text: str) -> None:
    settings: dict[str, Any] = {"launch_uids": text}
    with pytest.raises(ValidationError):
        Settings(**settings)


def test_each_owner_has_one_number_for_good_and_no_other(tmp_path: Path) -> None:
    async def draw() -> list[int]:
        store = SqlStore(open_store(tmp_path / "livius.db"))
        users = PerPrincipalOsUsers(store, NUMBERS)
        first = [await users.principal(PrincipalId(one), (WorkspaceId(work),)) for one in people]
        second = [await users.principal(PrincipalId(one)) for one in reversed(people)]
        assert [one.number for one in first] == [one.number for one in reversed(second)]
        group = await users.workspace(WorkspaceId(work))
        assert all(list(one.groups) == [group.number] for one in first)
        metastore = await users.metastore()
        assert group.number in metastore.groups
        assert len(metastore.groups) == WORKSPACES
        numbers = [*(one.number for one in first), group.number, metastore.number]
        assert len(set(numbers)) == len(numbers)
        assert set(numbers) <= set(NUMBERS)
        store.close()
        return numbers

    people, work = [new_id() for _ in range(3)], new_id()
    assert asyncio.run(draw()) == asyncio.run(draw())


async def test_when_all_numbers_are_given_it_says_so(tmp_path: Path) -> None:
    store = SqlStore(open_store(tmp_path / "livius.db"))
    assert [await store.number_of(new_id(), range(10, 12)) for _ in range(2)] == [10, 11]
    with pytest.raises(Unavailable, match="LIVIUS_LAUNCH_UIDS"):
        await store.number_of(new_id(), range(10, 12))
    store.close()


async def test_with_one_user_everything_is_ours() -> None:
    users = SharedOsUser()
    await users.principal(PrincipalId("p"))
    assert await users.workspace(WorkspaceId("w")) is None  # type: ignore[func-returns-value]


def test_an_agent_sees_whose_the_gateways_port_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        assert listeners(ours.getsockname()[1]) == {os.geteuid()}


@only_root
def test_an_agent_sees_that_another_took_the_gateways_port() -> None:
    os.seteuid(NUMBERS[0])
    try:
        taken = socket.create_server(("127.0.0.1", 0))
    finally:
        os.seteuid(0)
    with taken:
        assert listeners(taken.getsockname()[1]) == {NUMBERS[0]}


@only_root
async def test_a_hard_link_brings_the_gateway_to_no_file_that_its_maker_can_not_read(
    tmp_path: Path,
) -> None:
    """Some kernels let anybody link whatever they can name."""
    store = SqlStore(open_store(tmp_path / "livius.db"))
    users, workspace, lakehouse = (
        PerPrincipalOsUsers(store, NUMBERS),
        WorkspaceId(new_id()),
        new_id(),
    )
    await LocalLakehouses(tmp_path, users).create(workspace, LakehouseId(lakehouse))
    contents = LocalLakehouseBrowser(tmp_path, users)
    files = tmp_path / workspace / lakehouse / "Files"
    (files / "ours.txt").write_text("shown")
    (tmp_path / "key").write_text("hidden")
    (files / "key.txt").hardlink_to(tmp_path / "key")
    async with contents.open(workspace, LakehouseId(lakehouse), ["ours.txt"]) as file:
        assert await file.read(10) == b"shown"
    with pytest.raises(NotFound):
        async with contents.open(workspace, LakehouseId(lakehouse), ["key.txt"]):
            pass
    store.close()


@only_root
async def test_tables_are_read_as_their_workspace_and_see_no_more() -> None:
    # Not below pytest's own folder, which is closed to other users.
    with tempfile.TemporaryDirectory(prefix="livius-reader-") as made:
        root = Path(made)
        os.chmod(root, 0o711)  # noqa: PTH101 - pathlib is not for coroutines
        store = SqlStore(open_store(root / "livius.db"))
        users, workspace = PerPrincipalOsUsers(store, NUMBERS), WorkspaceId(new_id())
        lakehouse = LakehouseId(new_id())
        await LocalLakehouses(root, users).create(workspace, lakehouse)
        log = root / workspace / lakehouse / "Tables" / "trips" / "_delta_log"
        log.mkdir(parents=True)
        for folder in (log.parent, log):
            folder.chmod(0o2770)
        commit = log / f"{0:020}.json"
        commit.write_text(LOG)
        commit.chmod(0o640)
        contents = LocalLakehouseBrowser(root, users)
        [column] = (await contents.table(workspace, lakehouse, ["trips"])).columns
        assert column.name == "id"
        # Files that root could still read are closed to the workspace's number.
        os.chown(commit, 0, 0)
        with pytest.raises(Conflict):
            await contents.table(workspace, lakehouse, ["trips"])
        store.close()


@only_root
async def test_each_lakehouse_of_a_workspace_is_shared(tmp_path: Path) -> None:
    store = SqlStore(open_store(tmp_path / "livius.db"))
    users, workspace = PerPrincipalOsUsers(store, NUMBERS), WorkspaceId(new_id())
    for lakehouse in (new_id(), new_id()):
        await LocalLakehouses(tmp_path, users).create(workspace, LakehouseId(lakehouse))
        root = tmp_path / workspace / lakehouse
        modes = [path.stat().st_mode & 0o7777 for path in (root, root / "Tables", root / "Files")]
        assert modes == [0o3770, 0o2770, 0o2770]
    store.close()


@only_root
async def test_a_lakehouse_of_before_is_handed_over_and_links_are_not(tmp_path: Path) -> None:
    store = SqlStore(open_store(tmp_path / "livius.db"))
    users, workspace, lakehouse = (
        PerPrincipalOsUsers(store, NUMBERS),
        WorkspaceId(new_id()),
        new_id(),
    )
    await LocalLakehouses(tmp_path, SharedOsUser()).create(workspace, LakehouseId(lakehouse))
    root = tmp_path / workspace / lakehouse
    (root / "Files" / "sub").mkdir(mode=0o700)
    (root / "Files" / "sub" / "a.csv").touch(mode=0o600)
    (tmp_path / "key").touch(mode=0o600)
    (root / "Files" / "link").symlink_to(tmp_path / "key")
    await LocalLakehouses(tmp_path, users).create(workspace, LakehouseId(lakehouse))
    group = (await users.workspace(workspace)).number
    modes = {
        path: (path.stat().st_gid, path.stat().st_mode & 0o7777)
        for path in (root, root / "Files", root / "Files" / "sub", root / "Files" / "sub" / "a.csv")
    }
    assert list(modes.values()) == [
        (group, 0o3770),
        (group, 0o2770),
        (group, 0o2770),
        (group, 0o660),
    ]
    assert (tmp_path / "key").stat().st_gid != group
    # Once it is shared, nothing in it is given away: by now others may have put it there.
    (root / "Files" / "later").hardlink_to(tmp_path / "key")
    await LocalLakehouses(tmp_path, users).create(workspace, LakehouseId(lakehouse))
    assert (tmp_path / "key").stat().st_gid != group
    store.close()
