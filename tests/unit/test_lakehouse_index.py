"""The files by which drivers resolve the names in OneLake URLs."""

import os
from pathlib import Path

from livius.adapters.local.lakehouse_index import callers_file, index_file, write_lakehouse_index
from livius.adapters.local.os_users import OsUser
from livius.domain.ids import LakehouseId, PrincipalId, WorkspaceId
from livius.ports.catalog import LakehouseAccess


def place(
    principal: str, lakehouse: str, name: str = "Bronze", *, has_schemas: bool = False
) -> LakehouseAccess:
    return LakehouseAccess(
        principal=PrincipalId(principal),
        workspace=WorkspaceId("w"),
        workspace_name="Research",
        lakehouse=LakehouseId(lakehouse),
        lakehouse_name=name,
        database=f"db_{lakehouse}",
        has_schemas=has_schemas,
    )


def test_each_principal_has_its_own_and_the_metastore_all(tmp_path: Path) -> None:
    write_lakehouse_index(tmp_path, [place("ada", "1"), place("ada", "2"), place("bob", "2")])
    assert index_file(tmp_path, PrincipalId("ada")).read_text() == (
        "w\tResearch\t1\tBronze\n1\tdb_1\t\nw\tResearch\t2\tBronze\n2\tdb_2\t\n"
    )
    of_bob = index_file(tmp_path, PrincipalId("bob")).read_text()
    assert of_bob == "w\tResearch\t2\tBronze\n2\tdb_2\t\n"
    assert len(index_file(tmp_path).read_text().splitlines()) == 2 * 2


def test_a_lakehouse_with_schemas_is_marked(tmp_path: Path) -> None:
    number = os.getgid()
    write_lakehouse_index(
        tmp_path,
        [place("ada", "1", has_schemas=True)],
        {PrincipalId("ada"): OsUser(number)},
        OsUser(number),
    )
    assert index_file(tmp_path).read_text() == "w\tResearch\t1\tBronze\n1\tdb_1\tschemas\n"
    assert callers_file(tmp_path).read_text() == f"{number}\tdb_1\tw\t1\tschemas\n"


def test_a_file_is_replaced_only_where_it_changed(tmp_path: Path) -> None:
    write_lakehouse_index(tmp_path, [place("ada", "1"), place("bob", "1")])
    before = {
        name: index_file(tmp_path, PrincipalId(name)).stat().st_ino for name in ("ada", "bob")
    }
    write_lakehouse_index(tmp_path, [place("ada", "1"), place("bob", "1"), place("bob", "2")])
    assert index_file(tmp_path, PrincipalId("ada")).stat().st_ino == before["ada"]
    assert index_file(tmp_path, PrincipalId("bob")).stat().st_ino != before["bob"]


def test_who_lost_the_last_role_has_nothing_left(tmp_path: Path) -> None:
    write_lakehouse_index(tmp_path, [place("ada", "1"), place("bob", "1")])
    write_lakehouse_index(tmp_path, [place("ada", "1")])
    assert index_file(tmp_path, PrincipalId("bob")).read_text() == ""


def test_where_principals_have_users_the_metastore_is_told_what_each_may_use(
    tmp_path: Path,
) -> None:
    places = [place("ada", "1"), place("bob", "1"), place("bob", "2")]
    write_lakehouse_index(tmp_path, places)
    assert not callers_file(tmp_path).exists()
    number = os.getgid()  # the only one that a file can be given to without root
    write_lakehouse_index(tmp_path, places, {PrincipalId("bob"): OsUser(number)}, OsUser(number))
    assert callers_file(tmp_path).read_text() == f"{number}\tdb_1\tw\t1\n{number}\tdb_2\tw\t2\n"
    write_lakehouse_index(tmp_path, [], {}, OsUser(number))
    assert callers_file(tmp_path).read_text() == ""


def test_a_name_that_would_break_the_form_stands_by_its_id_only(tmp_path: Path) -> None:
    write_lakehouse_index(tmp_path, [place("ada", "1", "a\tb\nc")])
    assert index_file(tmp_path, PrincipalId("ada")).read_text() == "w\tResearch\t1\t\n1\tdb_1\t\n"
