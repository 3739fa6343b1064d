"""Changes of lakehouses' files: others may change the same folders meanwhile."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from livius.adapters.local import lakehouse_edits
from livius.adapters.local.lakehouse_edits import LocalLakehouseEdits
from livius.adapters.local.os_users import PerPrincipalOsUsers
from livius.adapters.local.table_claims import TableClaims
from livius.domain.contents import Area
from livius.domain.errors import NotFound
from livius.domain.ids import LakehouseId, WorkspaceId, new_id

PLACE = WorkspaceId(new_id()), LakehouseId(new_id())


class OneNumber:
    """A store that gives every owner the group of this process."""

    async def number_of(self, owner: str, among: range) -> int:
        del owner, among
        return os.getgid()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    found = tmp_path.joinpath(*PLACE, Area.FILES)
    found.mkdir(parents=True)
    return found


@pytest.fixture
def edits(tmp_path: Path) -> LocalLakehouseEdits:
    users = PerPrincipalOsUsers(OneNumber(), range(10_000))
    return LocalLakehouseEdits(tmp_path, tmp_path / "removed", users, TableClaims())


async def test_a_new_folder_is_the_workspaces(files: Path, edits: LocalLakehouseEdits) -> None:
    await edits.make_folder(*PLACE, ["new"])
    assert (files / "new").stat().st_mode & 0o7777 == 0o2770


@pytest.mark.parametrize("moved", ["new", "."])
async def test_a_folder_that_another_puts_in_the_new_ones_place_stays_as_it_is(
    files: Path, edits: LocalLakehouseEdits, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    """Somebody moves the new folder, or the one it is in, and puts another into its place."""
    mkdir, above, theirs = os.mkdir, files / "above", files / "above" / "new"
    above.mkdir()

    def mkdir_and_swap(*about: Any, **more: Any) -> None:
        mkdir(*about, **more)
        monkeypatch.undo()
        (above / moved).resolve().rename(files / "moved")
        theirs.mkdir(parents=True)
        theirs.chmod(0o755)

    monkeypatch.setattr(os, "mkdir", mkdir_and_swap)
    if moved == "new":
        with pytest.raises(NotFound):
            await edits.make_folder(*PLACE, ["above", "new"])
    else:
        await edits.make_folder(*PLACE, ["above", "new"])
        assert (files / "moved" / "new").stat().st_mode & 0o7777 == 0o2770
    assert theirs.stat().st_mode & 0o7777 == 0o755


async def test_of_a_huge_folder_only_the_beginning_is_listed(
    files: Path, edits: LocalLakehouseEdits, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "huge").mkdir()
    for number in range(50):
        (files / "huge" / f"{number}.txt").write_text("x")
    scandir, listed = os.scandir, []

    class Listing:
        def __init__(self, *about: Any) -> None:
            self.entries = scandir(*about)

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self)

        def __exit__(self, *about: object) -> None:
            self.entries.close()

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            for one in self.entries:
                listed.append(one.name)
                yield one

    monkeypatch.setattr(os, "scandir", Listing)
    monkeypatch.setattr(lakehouse_edits, "_MOST_COUNTED", 10)
    found = await edits.measure(*PLACE, Area.FILES, ["huge"])
    assert found.is_cut
    assert found.files == 10
    assert len(listed) == 11


async def test_folders_in_folders_are_counted_and_links_are_not(
    files: Path, edits: LocalLakehouseEdits, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("many")
    inner = files / "a" / "b" / "c"
    inner.mkdir(parents=True)
    (inner / "x").write_text("12")
    (files / "a" / "y").write_text("345")
    (files / "a" / "link").symlink_to(tmp_path / "outside")
    (inner / "up").symlink_to(files)
    found = await edits.measure(*PLACE, Area.FILES, ["a"])
    assert (found.files, found.size, found.is_cut) == (2, 5, False)
