"""Sessions of Runtime 1.3 at a gateway whose others run on 2.0: what both do, and their tables.

``make test RUNTIME=1.3`` runs all other files on 1.3; here is a choice of it for each run.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.gateway import RUNTIME, Client, RemoteSession
from support.shared import SharedSession
from support.waiting import wait_for

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(600),
    pytest.mark.skipif(RUNTIME == "1.3", reason="all sessions run on 1.3 anyway"),
]

LOOPS = {
    "pyspark": "while True: pass",
    "spark": "var at = 0L; while (true) at += 1",
    "sql": "select count(*) from range(1000000) a join range(1000000) b on a.id % 7 < b.id % 5",
}


@pytest.fixture(scope="module")
def older_sessions(client: Client) -> Iterator[SharedSession]:
    sessions = SharedSession(client, conf={"spark.livius.runtime": "1.3"})
    yield sessions
    sessions.end()


@pytest.fixture
def older(older_sessions: SharedSession) -> Iterator[RemoteSession]:
    """A session of Runtime 1.3."""
    with older_sessions.used() as session:
        yield session


def rows(session: RemoteSession, query: str) -> Any:
    output = session.run(query, "sql")
    assert output["status"] == "ok", output
    return output["data"]["application/json"]["data"]


def test_both_run_beside_each_other(older: RemoteSession, session: RemoteSession) -> None:
    for one, spark, scala in ((older, "3.5.5", "2.12"), (session, "4.1.1", "2.13")):
        assert one.text("print(spark.version, sc.version)") == f"{spark} {spark}"
        version = one.text("util.Properties.versionNumberString", "spark")
        assert f": String = {scala}." in version
        assert rows(one, "select version()")[0][0].startswith(spark)
        assert one.get()["appInfo"]["sparkVersion"] == spark


def test_values_and_definitions_of_scala(older: RemoteSession) -> None:
    shown = older.text("val kept = 41\ncase class A(n: Int)\nkept + 1", "spark").splitlines()
    assert shown[:2] == ["kept: Int = 41", "defined class A"]
    assert shown[2].endswith(": Int = 42")
    assert older.text("Seq(A(1), A(2)).toDS().map(_.n).collect().sum", "spark").endswith("= 3")


def test_errors_say_what_and_where(older: RemoteSession) -> None:
    output = older.run("select * from nowhere", "sql")
    assert output["evalue"].startswith("[TABLE_OR_VIEW_NOT_FOUND]")
    output = older.run("val fine = 1\n\nval broken: Int = nonsense + fine", "spark")
    assert output["evalue"].splitlines() == [
        "<console>:3: error: not found: value nonsense",
        "val broken: Int = nonsense + fine",
        "                  ^",
    ]
    output = older.run("spark.table('nowhere')")
    assert output["ename"] == "AnalysisException"
    assert output["evalue"].startswith("[TABLE_OR_VIEW_NOT_FOUND]")


@pytest.mark.parametrize("kind", LOOPS)
def test_a_cancel_ends_what_runs(older: RemoteSession, kind: str) -> None:
    number = older.submit(LOOPS[kind], kind)
    wait_for(lambda: older.statement(number)["state"] == "running", seconds=60, what=f"{kind} runs")
    time.sleep(1)  # until it is in its loop
    older.cancel(number)
    assert older.wait(number, 30)["state"] == "cancelled"
    assert older.text("print(1)") == "1"


def test_shapes_of_outputs(older: RemoteSession) -> None:
    body = older.run("select 1 as a, array('x') as b, map('k', 1.5) as c", "sql")["data"]
    assert body["application/json"]["data"] == [[1, ["x"], {"k": "1.5"}]]
    frame = "spark.sql(\"select 1 as a, date'2024-01-02' as d\")"
    table = older.run(f"%table {frame}")["data"]["application/vnd.livy.table.v1+json"]
    assert table["data"] == [[1, "2024-01-02"]]
    shown = older.run(f"display({frame.replace(chr(34), chr(39) * 3)})")
    assert "text/html" in shown["data"]
    assert older.run(f"%json {frame}", "spark")["data"]["application/json"]
    image = "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()"
    assert "image/png" in older.run(image)["data"]
    assert older.text("spark.range(3).toPandas()['id'].sum()") == "3"


def test_onelake_relative_paths_and_notebookutils(older: RemoteSession) -> None:
    place = (
        "from notebookutils import runtime; c = runtime.context; "
        "root = 'abfss://' + c['currentWorkspaceId'] + '@onelake.dfs.fabric.microsoft.com/' "
        "+ c['defaultLakehouseId']"
    )
    older.text(f"{place}; spark.range(2).write.mode('overwrite').parquet(root + '/Files/r13')")
    assert older.text("spark.read.parquet('Files/r13').count()") == "2"
    assert older.text("notebookutils.fs.exists('Files/r13')") == "True"
    assert older.text('notebookutils.fs.exists("Files/r13")', "spark").endswith("true")
    assert older.text("import os; print(os.path.isdir('Files/r13'))") == "True"


def test_a_table_of_each_is_the_others(older: RemoteSession, session: RemoteSession) -> None:
    for number, (made, other) in enumerate(((older, session), (session, older))):
        name = f"of_both_{number}"
        rows(made, f"create or replace table {name} as select 1 as a, 'x' as b")
        rows(other, f"insert into {name} values (2, 'y')")
        rows(
            made,
            f"merge into {name} t using (select 2 as a) s on t.a = s.a "
            "when matched then update set b = 'z'",
        )
        for one in (made, other):
            assert rows(one, f"select * from {name} order by a") == [[1, "x"], [2, "z"]]
        rows(other, f"create or replace view {name}_view as select max(a) as a from {name}")
        assert rows(made, f"select a from {name}_view") == [[2]]
        rows(other, f"drop view {name}_view")
        rows(made, f"drop table {name}")


def test_a_feature_that_the_older_delta_lacks_is_named(
    older: RemoteSession, session: RemoteSession
) -> None:
    rows(session, "create or replace table with_variant (v variant)")
    for kind, code in (
        ("sql", "select * from with_variant"),
        ("pyspark", "spark.table('with_variant').show()"),
        ("spark", 'spark.table("with_variant").show()'),
    ):
        output = older.run(code, kind)
        assert output["status"] == "error"
        assert "variantType" in output["evalue"], output
        assert "DELTA_UNSUPPORTED_FEATURES_FOR_READ" in output["evalue"]
    rows(session, "drop table with_variant")


def test_statements_of_one_cell_are_cut_apart(older: RemoteSession) -> None:
    """Scala 2.12 puts an assignment before an expression, after which no line may be empty."""
    shown = older.text("println(1); val one = 2\n\n// a remark\n\none + 1; one + 2", "spark")
    assert [line.split(" = ")[-1] for line in shown.splitlines()] == ["1", "2", "3", "4"]


def test_a_table_without_a_format_is_deltas(older: RemoteSession) -> None:
    rows(older, "create table without_format as select 1 as a")
    assert rows(older, "describe detail without_format")[0][0] == "delta"
    rows(older, "drop table without_format")
