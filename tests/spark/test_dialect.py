"""Fabric's own words in Spark SQL: taken everywhere, and honest about what they do not do."""

import pytest

from support.gateway import RemoteSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

CONFS = (
    "spark.sql.parquet.vorder.enabled",
    "spark.sql.parquet.vorder.default",
    "spark.microsoft.delta.optimizeWrite.enabled",
    "spark.microsoft.delta.parquet.vorder.property.autoset.enabled",
)


@pytest.mark.parametrize("key", CONFS)
def test_confs_of_fabric_are_taken_in_every_kind(session: RemoteSession, key: str) -> None:
    assert session.rows(f"set {key}=true") == [[key, "true"]]
    session.text(f"spark.conf.set('{key}', 'false')")
    assert session.text(f"print(spark.conf.get('{key}'))") == "false"
    session.text(f'spark.conf.set("{key}", "true")', "spark")
    assert session.text(f'println(spark.conf.get("{key}"))', "spark") == "true"
    session.text(f"spark.conf.unset('{key}')")


def test_v_order_is_a_table_property(session: RemoteSession) -> None:
    session.run("drop table if exists ordered", "sql")
    for statement in (
        "create table ordered (a int) tblproperties ('delta.parquet.vorder.enabled' = 'true')",
        "alter table ordered set tblproperties ('delta.parquet.vorder.default' = 'true')",
        "insert into ordered values (1), (2)",
    ):
        output = session.run(statement, "sql")
        assert output["status"] == "ok", output
    properties = dict(session.rows("show tblproperties ordered"))
    assert properties["delta.parquet.vorder.enabled"] == "true"
    assert properties["delta.parquet.vorder.default"] == "true"


def test_optimize_with_vorder_optimizes_and_says_what_it_left_out(session: RemoteSession) -> None:
    session.run("drop table if exists packed", "sql")
    session.run("create table packed (day int, a int) using delta partitioned by (day)", "sql")
    for day in (1, 2):
        for a in range(2):
            session.run(f"insert into packed values ({day}, {a})", "sql")

    def files() -> int:
        return int(session.text("print(len(spark.table('packed').inputFiles()))"))

    assert files() == 4
    output = session.run("OPTIMIZE packed WHERE day = 1 ZORDER BY (a) VORDER", "sql")
    result = output["data"]["application/json"]
    assert [field["name"] for field in result["schema"]["fields"]] == ["path", "metrics", "note"]
    assert "VORDER has no effect here" in result["data"][0][2]
    assert files() == 3
    for code, kind in (
        ("spark.sql('/* dbt */ optimize packed vorder').collect()[0].note", "pyspark"),
        ('println(spark.sql("optimize packed\\nVORDER").head.getString(2))', "spark"),
    ):
        assert "VORDER has no effect here" in session.text(code, kind)
    assert files() == 2
    assert len(session.rows("OPTIMIZE packed")[0]) == 2
    wrong = session.run("OPTIMIZE nowhere VORDER", "sql")
    assert "nowhere" in wrong["evalue"]


def test_parameters_still_work_beside_the_dialect(session: RemoteSession) -> None:
    asked = "spark.sql('select :n + 1 as n', args={'n': 1}).first()[0]"
    assert session.text(asked) == "2"


@pytest.mark.parametrize(
    ("statement", "has_note"),
    [
        ("optimize vorder", False),
        ("optimize vorder vorder ; ;", True),
        ("optimize vorder where vorder = 1", False),
        ("optimize vorder where 1 = vorder", False),
        ("optimize vorder where vorder = 1 /* ; */ vorder -- end", True),
        ("optimize vorder where 1 = vorder vorder", True),
    ],
)
def test_vorder_is_also_a_name(session: RemoteSession, statement: str, *, has_note: bool) -> None:
    made = (
        "create table if not exists vorder (vorder int, a int) using delta partitioned by (vorder)"
    )
    session.run(made, "sql")
    output = session.run(statement, "sql")
    assert output["status"] == "ok", output
    names = [field["name"] for field in output["data"]["application/json"]["schema"]["fields"]]
    assert ("note" in names) is has_note
