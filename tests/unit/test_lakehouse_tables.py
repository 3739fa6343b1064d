"""The tables in a lakehouse's folder."""

from pathlib import Path

from livius.adapters.local.lakehouses import LocalLakehouses
from livius.adapters.local.os_users import SharedOsUser
from livius.domain.ids import LakehouseId, WorkspaceId

PLACE = WorkspaceId("w"), LakehouseId("l")


def lay(root: Path, *tables: str) -> LocalLakehouses:
    for table in tables:
        log = root.joinpath(*PLACE, "Tables", table, "_delta_log")
        log.mkdir(parents=True)
        (log / f"{0:020}.json").touch()
    return LocalLakehouses(root, SharedOsUser())


async def test_a_folder_with_a_log_is_a_table(tmp_path: Path) -> None:
    files = lay(tmp_path, "b", "a", "sales/c")
    found = await files.tables(*PLACE, has_schemas=False)
    assert [table.name for table in found] == ["a", "b"]


async def test_with_schemas_only_their_folders_have_tables(tmp_path: Path) -> None:
    files = lay(tmp_path, "a", "sales/b", "dbo/c", "sales/x/y", "s.t/d")
    (tmp_path.joinpath(*PLACE) / "Tables" / "empty").mkdir()
    (tmp_path.joinpath(*PLACE) / "Tables" / "link").symlink_to(tmp_path.joinpath(*PLACE, "Tables"))
    found = await files.tables(*PLACE, has_schemas=True)
    assert [(table.schema, table.folder) for table in found] == [("dbo", "c"), ("sales", "b")]
    assert await files.schemas(*PLACE) == ["dbo", "empty", "sales"]
