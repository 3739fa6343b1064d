"""The metastore takes texts of any length, also in a data folder from before it did."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import Gateway, RemoteSession, runtimes_folder

pytestmark = [pytest.mark.spark, pytest.mark.timeout(500)]

LONG = "x" * 100_000
AS_IT_WAS = {
    "TBLS": {"VIEW_ORIGINAL_TEXT": "LONG VARCHAR", "VIEW_EXPANDED_TEXT": "LONG VARCHAR"},
    "TABLE_PARAMS": {"PARAM_VALUE": "VARCHAR(32672)"},
    "COLUMNS_V2": {"TYPE_NAME": "VARCHAR(32672)", "COMMENT": "VARCHAR(256)"},
    "DBS": {"DESC": "VARCHAR(4000)"},
}
"""Columns of the database that Hive makes by its own mapping."""


def test_views_properties_and_comments_of_any_length(session: RemoteSession) -> None:
    for statement in (
        f"create view long_view as select '{LONG}' as a",
        f"create or replace view long_view as select '{LONG}y' as a",
        "create table long_texts (a int)",
        f"alter table long_texts set tblproperties ('p' = '{LONG}')",
        f"comment on table long_texts is '{LONG}'",
        f"create view commented (a comment '{'c' * 20_000}') comment '{LONG}' as select 1",
        f"create database long_comment comment '{'c' * 20_000}'",
        "create view deep as select named_struct("
        + ", ".join(f"'a_field_{number}', {number}" for number in range(3000))
        + ") as s",
    ):
        output = session.run(statement, "sql")
        assert output["status"] == "ok", (statement[:80], output)
    assert session.rows("select length(a) from long_view") == [[100_001]]
    assert session.rows("select s.a_field_2999 from deep") == [[2999]]
    assert ["p", LONG] in session.rows("show tblproperties long_texts")
    assert [len(row[2]) for row in session.rows("describe commented")] == [20_000]


@pytest.mark.parametrize(
    ("replacement", "error"),
    [
        # Spark knows nothing against it; the metastore refuses such a name.
        (f"tblproperties ('{'k' * 300}' = 'v') as select 2 as a", "HiveException"),
        ("as select * from kept", "RECURSIVE_VIEW"),
        ("(a, b) as select 2 as a", "NOT_ENOUGH_DATA_COLUMNS"),
        ("as select * from not_there", "TABLE_OR_VIEW_NOT_FOUND"),
    ],
)
def test_a_view_that_cannot_be_replaced_stays(
    session: RemoteSession, replacement: str, error: str
) -> None:
    session.run("create or replace view kept as select 1 as a", "sql")
    output = session.run(f"create or replace view kept {replacement}", "sql")
    assert output["status"] == "error"
    assert error in output["evalue"]
    assert session.rows("select a from kept") == [[1]]


def test_a_replaced_view_has_nothing_of_the_old_one(session: RemoteSession) -> None:
    session.run("create or replace view anew (a comment 'c') comment 'd' as select 1", "sql")
    session.run("cache table anew", "sql")
    session.run("create or replace view anew tblproperties ('p' = 'q') as select 2 as b", "sql")
    assert session.rows("select * from anew") == [[2]]
    assert session.rows("describe anew") == [["b", "int", None]]
    described = dict(row[:2] for row in session.rows("describe extended anew"))
    assert "Comment" not in described
    assert "root" in described["Owner"] or described["Owner"]
    assert ["p", "q"] in session.rows("show tblproperties anew")
    output = session.run("create or replace view sample_table_or_not as select 1 as a", "sql")
    assert output["status"] == "ok"


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "home")
    with gateway.serving(), gateway.client().session() as session:
        session.run("create view older as select 'kept' as a", "sql")
        session.run("create table older_table (a int comment 'c') tblproperties ('p' = 'q')", "sql")
    yield gateway
    gateway.clean()


def test_an_older_data_folder_is_widened_at_the_next_start(older: Gateway, tmp_path: Path) -> None:
    script = "".join(
        f'alter table {table} add column "{name}_OLD" {kind};\n'
        f'update {table} set "{name}_OLD" = cast("{name}" as varchar(32672));\n'
        f'alter table {table} drop column "{name}";\n'
        f'rename column {table}."{name}_OLD" to "{name}";\n'
        for table, columns in AS_IT_WAS.items()
        for name, kind in columns.items()
    )
    database = older.home / "metastore" / "derby" / "db"
    (tmp_path / "old.sql").write_text(f"connect 'jdbc:derby:{database}';\n{script}exit;\n")
    # The metastore is of the newest runtime, whichever the session has.
    *_, jars = sorted(runtimes_folder().glob("*/venv/lib/python3.*/site-packages/pyspark/jars"))
    done = subprocess.run(
        ["java", "-cp", f"{jars}/*", "org.apache.derby.tools.ij", tmp_path / "old.sql"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ERROR" not in done.stdout, done.stdout
    with older.serving(), older.client().session() as session:
        assert session.rows("select * from older") == [["kept"]]
        assert ["p", "q"] in session.rows("show tblproperties older_table")
        made = session.run(f"create or replace view older as select '{LONG}' as a", "sql")
        assert made["status"] == "ok", made
        assert session.rows("select length(a) from older") == [[100_000]]
