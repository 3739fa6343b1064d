"""Loads of tables: their rules, and the process that does them, on real files."""

import asyncio
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from deltalake import DeltaTable, QueryBuilder

from livius.adapters.local.table_claims import TableClaims
from livius.adapters.local.table_loads import LocalTableLoads
from livius.domain.errors import Conflict, Invalid, LiviusError, Unavailable
from livius.domain.ids import LakehouseId, WorkspaceId, new_id
from livius.domain.lakehouse import Lakehouse
from livius.domain.table_load import FileFormat, Mode, TableLoad, check_load, load_of
from livius.ports.table_loads import Progress
from support.records import NOW

CSV = TableLoad(
    table="t",
    path="Files/in/a.csv",
    is_folder=False,
    mode=Mode.OVERWRITE,
    format=FileFormat.CSV,
    header=True,
)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"path": "Tables/t"}, "relativePath"),
        ({"path": "/Files/a"}, "relativePath"),
        ({"path": "Files/../Tables/t"}, "relativePath"),
        ({"path": "Files//a"}, "relativePath"),
        ({"path": "Files/.hidden"}, "relativePath"),
        ({"path": "Files/_delta_log"}, "relativePath"),
        ({"path": "Files/a\n"}, "relativePath"),
        ({"path": "Filesystem"}, "relativePath"),
        ({"table": ""}, "tableName"),
        ({"table": "a/b"}, "tableName"),
        ({"table": ".."}, "tableName"),
        ({"schema": "Sales"}, "schema"),
        ({"schema": ""}, "schema"),
        ({"schema": ".."}, "schema"),
        ({"extension": "a.b"}, "fileExtension"),
        ({"delimiter": ""}, "formatOptions.delimiter"),
        ({"delimiter": "||"}, "formatOptions.delimiter"),
        ({"delimiter": "'"}, "formatOptions.delimiter"),
    ],
)
def test_a_load_that_can_not_be_is_refused(fields: dict[str, Any], field: str) -> None:
    check_load(CSV)
    check_load(replace(CSV, path="Files", is_folder=True))
    with pytest.raises(Invalid) as found:
        check_load(replace(CSV, **fields))
    assert found.value.field == field


def test_a_load_comes_back_from_its_operation() -> None:
    wanted = replace(CSV, recursive=True, extension="txt", delimiter=";", schema="sales")
    assert load_of(wanted.as_request()) == wanted


class Place:
    """A lakehouse on the disk."""

    def __init__(self, home: Path) -> None:
        self.lakehouse = Lakehouse(
            id=LakehouseId(new_id()),
            workspace=WorkspaceId(new_id()),
            name="Bronze",
            database="bronze",
            created_at=NOW,
        )
        self.root = home / "onelake" / self.lakehouse.workspace / self.lakehouse.id
        for name in ("Files/in", "Tables"):
            (self.root / name).mkdir(parents=True)
        self.unfinished = home / "loads"
        self.claims = TableClaims()
        self.loads = LocalTableLoads(
            home / "onelake", self.unfinished, apart=False, claims=self.claims
        )
        self.percents: list[int] = []
        self.registered = 0

    async def load(self, load: TableLoad, progress: Progress | None = None) -> None:
        async def note(percent: int) -> None:
            self.percents.append(percent)

        async def register() -> None:
            target = (self.root / "Tables").joinpath(*load.table_in(self.lakehouse).parts)
            claim = self.claims.claim(target)
            with suppress(Conflict), claim:
                raise AssertionError("The table could be deleted before it is registered.")
            self.registered += 1

        await self.loads.load(self.lakehouse, load, progress or note, register)

    async def begun(self) -> tuple[asyncio.Task[None], psutil.Process]:
        """Begin a load of many rows; return it and its process, which has found its files."""
        self.write("a.csv", "a,b\n" + "".join(f"{one},{one * 7919}\n" for one in range(1_000_000)))
        running = asyncio.create_task(self.load(CSV))
        await self._seen("*/files/*.csv", running)
        # Other tests of this process may have left servers of their own.
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if "livius.adapters.local.table_load_program" in child.cmdline():
                    return running, child
        raise AssertionError("The load ended before it was seen.")

    async def writing(self) -> tuple[asyncio.Task[None], psutil.Process]:
        """Begin a load of many rows; return it and its process, stopped in the new table's files.

        These are there for some milliseconds only, so it may take several loads.
        """
        for _ in range(20):
            running, child = await self.begun()
            await self._seen("*/table/*.parquet*", running)
            with suppress(psutil.NoSuchProcess):
                child.suspend()
                while child.status() != psutil.STATUS_STOPPED:
                    await asyncio.sleep(0.001)
                if list(self.unfinished.glob("*/table/*.parquet*")):
                    return running, child
                child.resume()
            await running
            shutil.rmtree(self.root / "Tables" / "t")
        raise AssertionError("No load was caught at its work.")

    async def _seen(self, pattern: str, running: asyncio.Task[None]) -> None:
        while not list(self.unfinished.glob(pattern)) and not running.done():
            await asyncio.sleep(0.001)

    def check_nothing_is_left(self) -> None:
        assert list((self.root / "Tables").iterdir()) == []
        assert list(self.unfinished.iterdir()) == []

    def write(self, name: str, text: str) -> None:
        file = self.root / "Files" / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def rows(self, table: str = "t") -> list[dict[str, Any]]:
        found = DeltaTable(self.root / "Tables" / table)
        query = QueryBuilder().register("t", found).execute("SELECT * FROM t ORDER BY 1")
        return [row for batch in query for row in _rows(batch)]


def _rows(batch: Any) -> list[dict[str, Any]]:
    names = batch.schema.names
    return [
        {name: batch.column(name)[row].as_py() for name in names} for row in range(batch.num_rows)
    ]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_file_is_loaded_replaced_and_added_to(place: Place) -> None:
    place.write("a.csv", 'id,the name\n1,x\n2,"y,z"\n')
    await place.load(CSV)
    assert place.rows() == [{"id": 1, "the_name": "x"}, {"id": 2, "the_name": "y,z"}]
    await place.load(replace(CSV, mode=Mode.APPEND))
    assert len(place.rows()) == 4
    place.write("a.csv", "other\n7\n")
    await place.load(CSV)
    assert place.rows() == [{"other": 7}]
    assert list(place.unfinished.iterdir()) == []


async def test_without_a_header_columns_have_sparks_names(place: Place) -> None:
    place.write("a.csv", "1;x\n")
    await place.load(replace(CSV, header=False, delimiter=";"))
    assert place.rows() == [{"_c0": 1, "_c1": "x"}]


async def test_a_type_fits_all_rows(place: Place) -> None:
    place.write("a.csv", "a\n" + "1\n" * 5000 + "x\n")
    await place.load(CSV)
    assert {type(row["a"]) for row in place.rows()} == {str}


async def test_a_folders_files_by_their_ends(place: Place) -> None:
    place.write("it's.csv", "a\n1\n")
    place.write("B.CSV", "a\n2\n")
    place.write("sub/c.csv", "a\n3\n")
    place.write("d.txt", "a\n4\n")
    place.write("_started.csv", "a\n5\n")
    folder = replace(CSV, path="Files/in", is_folder=True)
    await place.load(folder)
    assert place.rows() == [{"a": 1}, {"a": 2}]
    await place.load(replace(folder, recursive=True))
    assert place.rows() == [{"a": 1}, {"a": 2}, {"a": 3}]
    await place.load(replace(folder, extension="txt"))
    assert place.rows() == [{"a": 4}]


async def test_parquet_files_are_loaded(place: Place) -> None:
    place.write("a.csv", "a,b\n1,x\n")
    await place.load(CSV)
    [file] = (place.root / "Tables" / "t").glob("*.parquet")
    file.rename(place.root / "Files" / "in" / "p.parquet")
    await place.load(
        replace(CSV, table="p", path="Files/in", is_folder=True, format=FileFormat.PARQUET)
    )
    assert place.rows("p") == [{"a": 1, "b": "x"}]


JSON = replace(CSV, format=FileFormat.JSON, path="Files/in/a.jsonl")


async def test_lines_of_json_are_loaded_with_types_that_fit_all_of_them(place: Place) -> None:
    place.write("a.jsonl", '{"n": 1, "s": "x", "never": null}\n{"n": 2.5, "o": {"k": [true]}}\n')
    await place.load(JSON)
    assert place.rows() == [
        {"n": 1.0, "s": "x", "never": None, "o": None},
        {"n": 2.5, "s": None, "never": None, "o": {"k": [True]}},
    ]
    schema = {one.name: one.type for one in DeltaTable(place.root / "Tables" / "t").schema().fields}
    assert str(schema["never"]) == 'PrimitiveType("string")'
    await place.load(replace(JSON, mode=Mode.APPEND))
    assert len(place.rows()) == 4


async def test_a_folder_of_json(place: Place) -> None:
    place.write("a.json", '{"a": 1}\n')
    place.write("b.jsonl", '{"a": 2}\n')
    folder = replace(JSON, path="Files/in", is_folder=True)
    await place.load(folder)
    assert place.rows() == [{"a": 1}]
    await place.load(replace(folder, extension="jsonl"))
    assert place.rows() == [{"a": 2}]


async def test_a_new_table_is_never_an_old_one(place: Place) -> None:
    place.write("a.csv", "a\n1\n")
    new = replace(CSV, mode=Mode.CREATE)
    await place.load(new)
    with pytest.raises(Invalid, match="There is a table t already"):
        await place.load(new)
    assert place.rows() == [{"a": 1}]


async def test_a_table_that_is_being_deleted_is_not_loaded(place: Place) -> None:
    place.write("a.csv", "a\n1\n")
    with (
        place.claims.claim(place.root / "Tables" / "t"),
        pytest.raises(Conflict, match="runs now"),
    ):
        await place.load(CSV)
    running, _ = await place.begun()
    with pytest.raises(Conflict), place.claims.claim(place.root / "Tables" / "t"):
        pass
    await running
    with place.claims.claim(place.root / "Tables" / "t"):
        pass


async def test_a_table_is_registered_before_anyone_may_delete_it(place: Place) -> None:
    place.write("a.csv", "a\n1\n")
    await place.load(CSV)
    assert place.registered == 1


async def test_a_table_that_a_session_has_dropped_is_not_registered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = place.loads._load

    async def load_and_drop(*about: Any) -> None:
        await load(*about)
        shutil.rmtree(place.root / "Tables" / "t")

    monkeypatch.setattr(place.loads, "_load", load_and_drop)
    place.write("a.csv", "a\n1\n")
    await place.load(CSV)
    assert place.registered == 0


@pytest.mark.parametrize(
    ("text", "load", "message"),
    [
        ('[{"a": 1}]', replace(JSON, path="Files/in/a.csv"), "one object in each line"),
        ('{\n"a": 1\n}\n', replace(JSON, path="Files/in/a.csv"), "one object in each line"),
        ('{"a": {}}\n{"a": 1}\n', replace(JSON, path="Files/in/a.csv"), "can't be loaded"),
        ("nonsense", replace(JSON, path="Files/in/a.csv"), "Json error"),
        ("a\n1\n", replace(CSV, path="Files/in/b.csv"), "no file Files/in/b.csv"),
        ("a\n1\n", replace(CSV, path="Files/out", is_folder=True), "no folder Files/out"),
        ("a\n1\n", replace(CSV, path="Files/in", is_folder=True, extension="x"), "no files"),
        ("", CSV, "no columns"),
        ("a,A\n1,2\n", CSV, "Two columns"),
        ("a\n1\n", replace(CSV, format=FileFormat.PARQUET), "can't be loaded"),
        ("a,b\n1,2\n1,2,3\n", CSV, "can't be loaded"),
    ],
)
async def test_what_can_not_be_loaded_leaves_nothing_and_says_why(
    place: Place, text: str, load: TableLoad, message: str
) -> None:
    place.write("a.csv", text)
    with pytest.raises(LiviusError, match=message):
        await place.load(load)
    place.check_nothing_is_left()


async def test_a_failed_append_leaves_the_table_as_it_was(place: Place) -> None:
    place.write("a.csv", "a\n1\n")
    await place.load(CSV)
    place.write("a.csv", "b\nx\n")
    with pytest.raises(LiviusError, match="can't be loaded"):
        await place.load(replace(CSV, mode=Mode.APPEND))
    assert place.rows() == [{"a": 1}]


async def test_a_link_out_of_the_lakehouse_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (place.root / "Files" / "in" / "a.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(LiviusError, match="outside the lakehouse"):
        await place.load(CSV)


async def test_a_cancelled_load_ends_its_process_and_leaves_nothing(place: Place) -> None:
    running, child = await place.writing()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not child.is_running()
    place.check_nothing_is_left()


async def test_a_killed_load_leaves_nothing(place: Place) -> None:
    running, child = await place.writing()
    child.kill()
    with pytest.raises(Unavailable, match="ended by itself"):
        await running
    place.check_nothing_is_left()


async def test_a_load_that_takes_too_much_memory_ends_and_says_so(place: Place) -> None:
    place.loads = LocalTableLoads(
        place.root.parents[1],
        place.unfinished,
        apart=False,
        claims=place.claims,
        memory=50 * 1024**2,
    )
    # So many that it is looked at while it has them: it would take a second or two.
    place.write("a.csv", "a,b\n" + "1,2\n" * 10_000_000)
    with pytest.raises(Unavailable, match="50 MB of memory"):
        await place.load(CSV)
    place.check_nothing_is_left()


async def test_a_load_whose_progress_can_not_be_stored_succeeds(place: Place) -> None:
    async def fails(percent: int) -> None:
        raise Unavailable("DiskFull", f"{percent} % can't be stored.")

    place.write("a.csv", "a,b\n" + "1,2\n" * 1_000_000)
    await place.load(CSV, fails)
    assert len(place.rows()) == 1_000_000


async def test_another_writers_new_table_stays(place: Place) -> None:
    running, _ = await place.begun()
    # As Spark begins a table: its log comes last.
    theirs = place.root / "Tables" / "t" / "part-0.parquet"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    with pytest.raises(Invalid, match="another writer's new table"):
        await running
    assert [one.read_text() for one in theirs.parent.iterdir()] == ["theirs"]


async def test_an_empty_folder_becomes_the_table(place: Place) -> None:
    (place.root / "Tables" / "t").mkdir()
    place.write("a.csv", "a\n1\n")
    await place.load(replace(CSV, mode=Mode.APPEND))
    assert place.rows() == [{"a": 1}]


async def test_the_first_table_of_a_schema_makes_its_folder(place: Place) -> None:
    place.lakehouse = replace(place.lakehouse, has_schemas=True)
    place.write("a.csv", "a\n1\n")
    await place.load(CSV)
    assert place.rows("dbo/t") == [{"a": 1}]
    await place.load(replace(CSV, schema="sales"))
    assert place.rows("sales/t") == [{"a": 1}]


def test_what_an_earlier_gateway_has_left_is_removed(place: Place) -> None:
    place.loads.remove_unfinished()
    left = place.unfinished / "tmp1" / "table" / "part-0.parquet"
    left.parent.mkdir(parents=True)
    left.touch()
    place.loads.remove_unfinished()
    assert not place.unfinished.exists()


async def test_where_users_are_apart_nothing_is_loaded(place: Place, tmp_path: Path) -> None:
    place.loads = LocalTableLoads(
        tmp_path / "onelake", place.unfinished, apart=True, claims=place.claims
    )
    with pytest.raises(Unavailable, match="in a session") as refused:
        await place.load(CSV)
    assert refused.value.message.endswith(f": {CSV.statement}")


@pytest.mark.parametrize(
    ("load", "read"),
    [
        (
            CSV,
            "spark.read.csv('Files/in/a.csv', header=True, sep=',', inferSchema=True)",
        ),
        (
            replace(
                CSV,
                path="Files/in",
                is_folder=True,
                recursive=True,
                format=FileFormat.PARQUET,
                mode=Mode.APPEND,
            ),
            "spark.read.parquet('Files/in', recursiveFileLookup=True, pathGlobFilter='*.parquet')",
        ),
    ],
)
def test_the_statement_that_does_the_same_in_a_session(load: TableLoad, read: str) -> None:
    write = f".write.mode('{load.mode.lower()}').saveAsTable('t')"
    assert load.statement == read + write
    new = replace(load, mode=Mode.CREATE)
    assert new.statement == f"{read}.write.mode('error').saveAsTable('t')"
    assert replace(load, schema="sales").statement.endswith(".saveAsTable('sales.t')")
