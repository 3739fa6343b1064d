"""The portal's previews, without Spark, of tables that real Spark wrote with Delta's features."""

import asyncio
import json
import shutil
from dataclasses import replace
from functools import partial

import pytest
from arro3.core import Array, DataType, Table
from deltalake import write_deltalake

from livius.adapters.local.lakehouse_browser import LocalLakehouseBrowser
from livius.adapters.local.lakehouse_edits import LocalLakehouseEdits
from livius.adapters.local.metastore import ready_file
from livius.adapters.local.metastore_client import MetastoreClient
from livius.adapters.local.os_users import SharedOsUser
from livius.adapters.local.table_claims import TableClaims
from livius.domain.contents import TableDescription, TablePart
from livius.domain.errors import NotFound
from livius.domain.ids import LakehouseId, WorkspaceId
from livius.domain.lakehouse import Lakehouse, LakehouseTable
from support.gateway import Gateway
from support.marks import IS_SPARK_4
from support.records import NOW
from support.shared import SharedSession

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]

TABLES: dict[str, str] = {
    "vectors": """
        CREATE TABLE vectors (n INT, word STRING)
        TBLPROPERTIES ('delta.enableDeletionVectors' = 'true');
        INSERT INTO vectors SELECT /*+ COALESCE(1) */ id, 'w' || id FROM range(10);
        DELETE FROM vectors WHERE n % 2 = 0""",
    "mapped": """
        CREATE TABLE mapped (`first name` STRING, n INT)
        TBLPROPERTIES ('delta.columnMapping.mode' = 'name');
        INSERT INTO mapped VALUES ('Ada', 1);
        ALTER TABLE mapped RENAME COLUMN n TO `how many`;
        INSERT INTO mapped VALUES ('Bo', 2)""",
    "parts": """
        CREATE TABLE parts PARTITIONED BY (day, city) AS SELECT * FROM VALUES
        (1, DATE'2026-01-01', 'a b/ü%'), (2, NULL, 'c') AS t(n, day, city)""",
    "checked": """
        CREATE TABLE checked (n INT NOT NULL);
        ALTER TABLE checked ADD CONSTRAINT small CHECK (n < 10);
        INSERT INTO checked VALUES (3)""",
    "moments": """
        CREATE TABLE moments AS SELECT TIMESTAMP'2026-01-02 03:04:05Z' AS at,
        TIMESTAMP_NTZ'2026-01-02 03:04:05' AS here, DATE'2026-01-02' AS day""",
    "composed": """
        CREATE TABLE composed AS SELECT named_struct('a', 1, 'b', 'x') AS s,
        array(named_struct('c', 2)) AS l, map('k', 3) AS m, CAST(1.5 AS DECIMAL(20, 3)) AS d,
        X'00ff' AS b""",
    "widened": """
        CREATE TABLE widened (n SMALLINT) TBLPROPERTIES ('delta.enableTypeWidening' = 'true');
        INSERT INTO widened VALUES (1);
        ALTER TABLE widened ALTER COLUMN n TYPE INT;
        INSERT INTO widened VALUES (100000)""",
}


MADE = """
from delta.tables import DeltaTable
(
    DeltaTable.create(spark).tableName("made")
    .addColumn("n", "INT")
    .addColumn("twice", "INT", generatedAlwaysAs="n * 2")
    .execute()
)
spark.sql("INSERT INTO made (n) VALUES (21)")
"""

ROWS: dict[str, tuple[dict[str, str], list[list[str | None]]]] = {
    "vectors": ({"n": "integer", "word": "string"}, [[str(n), f"w{n}"] for n in (1, 3, 5, 7, 9)]),
    "mapped": ({"first name": "string", "how many": "integer"}, [["Ada", "1"], ["Bo", "2"]]),
    "parts": (
        {"n": "integer", "day": "date", "city": "string"},
        [["1", "2026-01-01", "a b/ü%"], ["2", None, "c"]],
    ),
    "made": ({"n": "integer", "twice": "integer"}, [["21", "42"]]),
    "checked": ({"n": "integer"}, [["3"]]),
    "moments": (
        {"at": "timestamp", "here": "timestamp_ntz", "day": "date"},
        [["2026-01-02 03:04:05+00:00", "2026-01-02 03:04:05", "2026-01-02"]],
    ),
    "composed": (
        {
            "s": "struct<a: integer, b: string>",
            "l": "array<struct<c: integer>>",
            "m": "map<string, integer>",
            "d": "decimal(20,3)",
            "b": "binary",
        },
        [['{"a": 1, "b": "x"}', '[{"c": 2}]', '{"k": 3}', "1.500", "00ff"]],
    ),
}
if IS_SPARK_4:
    TABLES["variants"] = """CREATE TABLE variants AS SELECT parse_json('{"a": 1}') AS v"""
    ROWS["variants"] = {"v": "variant"}, [["(variant)"]]


@pytest.fixture(scope="module")
def written(gateway: Gateway, shared: SharedSession) -> Gateway:
    with shared.used() as session:
        for commands in TABLES.values():
            for command in commands.split(";"):
                output = session.run(command, "sql")
                assert output["status"] == "ok", output
        session.text(MADE)
    return gateway


def look(gateway: Gateway, name: str) -> TableDescription:
    facts = gateway.connection
    contents = LocalLakehouseBrowser(gateway.home / "onelake")
    place = WorkspaceId(facts["workspace_id"]), LakehouseId(facts["lakehouse_id"])
    return asyncio.run(contents.table(*place, (name,), list(TablePart)))


@pytest.mark.parametrize("name", ROWS)
def test_what_spark_wrote_is_shown_as_it_is(written: Gateway, name: str) -> None:
    found = look(written, name)
    columns, rows = ROWS[name]
    assert found.trouble is None
    assert {one.name: one.type for one in found.columns} == columns
    assert sorted(found.rows, key=str) == rows
    assert found.commits[-1].version == 0


def test_a_constraint_and_a_deletion_stand_in_the_history(written: Gateway) -> None:
    assert "ADD CONSTRAINT" in [one.operation for one in look(written, "checked").commits]
    assert not look(written, "checked").columns[0].nullable
    assert look(written, "vectors").commits[0].metrics["numDeletionVectorsAdded"] == "1"


def test_what_the_reader_lacks_is_said_beside_the_schema(written: Gateway) -> None:
    found = look(written, "widened")
    assert [(one.name, one.type) for one in found.columns] == [("n", "integer")]
    assert "TypeWidening" in (found.trouble or "")
    assert [one.operation for one in found.commits][:2] == ["WRITE", "CHANGE COLUMN"]


def test_a_table_that_lost_a_file_says_which(written: Gateway) -> None:
    facts = written.connection
    tables = written.home / "onelake" / facts["workspace_id"] / facts["lakehouse_id"] / "Tables"
    shutil.copytree(tables / "checked", tables / "lost")
    for file in (tables / "lost").glob("*.parquet"):
        file.unlink()
    found = look(written, "lost")
    assert found.columns
    assert "parquet" in (found.trouble or "")
    assert str(written.home) not in (found.trouble or "")
    shutil.rmtree(tables / "lost")


async def test_the_gateway_itself_finds_views_and_makes_the_metastore_forget_a_table(
    gateway: Gateway, shared: SharedSession
) -> None:
    facts = gateway.connection
    with shared.used() as session:
        for command in (
            "CREATE TABLE forgettable AS SELECT 1 AS n",
            "CREATE TABLE beside AS SELECT 1 AS n",
            "CREATE VIEW watched (m COMMENT 'a month') COMMENT 'seen' AS SELECT n FROM beside",
        ):
            assert session.run(command, "sql")["status"] == "ok"
        place = Lakehouse(
            id=LakehouseId(facts["lakehouse_id"]),
            workspace=WorkspaceId(facts["workspace_id"]),
            name="sample",
            database=session.rows("select current_database()")[0][0],
            created_at=NOW,
        )
        port = json.loads(ready_file(gateway.home / "metastore").read_text())["port"]
        client = MetastoreClient(lambda: port, gateway.home / "onelake", apart=False)
        assert "watched" in await client.views(place)
        view = await client.view(place, "watched")
        assert (view.text, view.comment) == ("SELECT n FROM beside", "seen")
        assert [(one.name, one.type, one.comment) for one in view.columns] == [
            ("m", "integer", "a month")
        ]
        with pytest.raises(NotFound):
            await client.view(place, "beside")
        await client.forget(place, LakehouseTable(folder="forgettable", format="delta"))
        names = {row[1] for row in session.rows("show tables")}
        assert "forgettable" not in names
        assert {"beside", "watched"} <= names
        # A table that a load has just made is there for queries before the metastore looks.
        tables = gateway.home / "onelake" / place.workspace / place.id / "Tables"
        write_deltalake(
            tables / "fresh_one", Table.from_pydict({"n": Array([5], DataType.int64())})
        )
        await client.register(place, LakehouseTable(folder="fresh_one", format="delta"))
        await client.register(place, LakehouseTable(folder="fresh_one", format="delta"))
        assert session.rows("SELECT * FROM fresh_one") == [[5]]
        session.run("INSERT INTO fresh_one VALUES (6)", "sql")
        session.run("ALTER TABLE fresh_one ADD COLUMN m INT", "sql")
        assert session.rows("SELECT max(n), count(m) FROM fresh_one") == [[6, 0]]
        elsewhere = replace(place, database="nobodys_database")
        await client.register(elsewhere, LakehouseTable(folder="fresh_one", format="delta"))
        # A deletion as the portal does it: the name is free again, for Spark too.
        edits = LocalLakehouseEdits(
            gateway.home / "onelake",
            gateway.home / "removed",
            SharedOsUser(),
            TableClaims(),
        )
        table = LakehouseTable(folder="beside", format="delta")
        await edits.remove_table(
            place.workspace, place.id, ["beside"], partial(client.forget, place, table)
        )
        assert "beside" not in {row[1] for row in session.rows("show tables")}
        session.run("CREATE TABLE beside AS SELECT 7 AS n", "sql")
        assert session.rows("SELECT * FROM beside") == [[7]]
        session.run("DROP VIEW watched", "sql")
        assert "watched" not in await client.views(place)
