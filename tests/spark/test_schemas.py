"""Lakehouses with schemas: their names in each kind, and programs that need them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spark.test_unchanged_programs import Shared, run
from support.clients import client_python
from support.gateway import ROOT, Client, Gateway, RemoteSession, by_runtime
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(400)]

SPELLED = "`sample`.`gold`"


def lakehouse(gateway: Gateway, name: str) -> dict[str, Any]:
    """What the command lists of a lakehouse."""
    listed: list[dict[str, Any]] = json.loads(gateway.livius("lakehouse", "list", "--json"))
    [found] = [one for one in listed if one["displayName"] == name]
    return found


def client_of(gateway: Gateway, name: str) -> Client:
    client = gateway.client()
    sample = gateway.connection["lakehouse_id"]
    client.base = client.base.replace(sample, lakehouse(gateway, name)["id"])
    return client


@pytest.fixture(scope="module")
def gold(gateway: Gateway) -> Client:
    gateway.livius("lakehouse", "create", "gold", "--schemas")
    return client_of(gateway, "gold")


@pytest.fixture(scope="module")
def schemas(gold: Client) -> Iterator[RemoteSession]:
    with gold.session(name="schemas") as session:
        yield session


def test_a_session_starts_in_dbo_and_its_tables_are_in_folders_of_schemas(
    gateway: Gateway, schemas: RemoteSession
) -> None:
    assert schemas.rows("select current_schema()") == [["dbo"]]
    schemas.rows("create schema sales")
    listed = schemas.rows("show schemas")  # those of the other tests too
    assert [[f"{SPELLED}.`dbo`"], [f"{SPELLED}.`sales`"]] == [
        row for row in listed if row[0].endswith(("`dbo`", ".`sales`"))
    ]
    assert schemas.rows("show databases in gold like 's*'") == [[f"{SPELLED}.`sales`"]]
    schemas.rows("create table first as select 1 as id")
    schemas.rows("create table gold.sales.second as select 2 as id")
    tables = Path(lakehouse(gateway, "gold")["folder"]) / "Tables"
    assert (tables / "dbo" / "first" / "_delta_log").is_dir()
    assert (tables / "sales" / "second" / "_delta_log").is_dir()
    assert {"dbo.first", "sales.second"} <= set(lakehouse(gateway, "gold")["tables"])
    assert schemas.rows("show tables in gold.sales") == [[f"{SPELLED}.`sales`", "second", False]]
    [row] = schemas.rows("show table extended in `sample`.`gold`.`sales` like '*'")
    assert row[0] == f"{SPELLED}.`sales`"
    assert "Type: MANAGED" in row[3]
    refused = schemas.run("drop schema dbo cascade", "sql")
    assert "can't be dropped" in refused["evalue"]
    elsewhere = schemas.run("create schema aside location 'Files/aside'", "sql")
    assert "Leave LOCATION out" in elsewhere["evalue"]


NAMES = ("forms.t", "gold.forms.t", "`sample`.`gold`.`forms`.`t`", "GOLD.Forms.T")


@pytest.fixture(scope="module")
def forms(schemas: RemoteSession) -> RemoteSession:
    schemas.rows("create schema if not exists gold.forms")
    schemas.rows("create table forms.t as select 1 as id, 'a' as v")
    return schemas


@pytest.mark.parametrize("name", NAMES)
def test_each_form_of_a_name_means_the_table_in_each_kind(forms: RemoteSession, name: str) -> None:
    assert forms.rows(f"select id from {name}") == [[1]]
    assert forms.rows(f"select t.id, forms.t.id from {name}") == [[1, 1]]
    assert forms.text(f"spark.table('{name}').count()") == "1"
    assert forms.text(f"spark.catalog.tableExists('{name}')") == "True"
    assert forms.text(f"spark.read.table('{name}').select('v').first().v") == "'a'"
    assert forms.text(f'println(spark.table("{name}").count())', "spark") == "1"
    made = name.replace("t`", "made`") if name.endswith("`") else f"{name[:-1]}made"
    forms.text(f"spark.range(3).write.mode('overwrite').saveAsTable('{made}')")
    assert forms.rows("select count(*) from forms.made") == [[3]]


def test_changes_and_views_take_names_of_three_parts(forms: RemoteSession) -> None:
    forms.rows("create or replace table gold.forms.changed as select id, v from forms.t")
    forms.rows("insert into gold.forms.changed values (2, 'b'), (3, 'c')")
    forms.rows("update gold.forms.changed set v = 'x' where gold.forms.changed.id = 2")
    forms.rows("delete from gold.forms.changed where id = 3")
    forms.rows(
        "merge into gold.forms.changed as old using (select 2 as id, 'm' as v union all "
        "select 4, 'n') as new on old.id = new.id when matched then update set * "
        "when not matched then insert *"
    )
    forms.rows("create or replace view gold.forms.seen as select * from gold.forms.changed")
    assert forms.rows("select * from forms.seen order by id") == [[1, "a"], [2, "m"], [4, "n"]]
    script = by_runtime("{}", "begin {}; end")
    forms.rows(script.format("insert into gold.forms.changed values (5, 's')"))
    assert forms.rows("select v from gold.forms.changed where id = 5") == [["s"]]
    forms.rows("alter table gold.forms.changed rename to gold.forms.renamed")
    assert forms.rows("describe gold.forms.renamed")[0][:2] == ["id", "int"]
    assert len(forms.rows("describe history gold.forms.renamed limit 2")) == 2
    forms.rows("drop view gold.forms.seen")
    forms.rows("drop table gold.forms.renamed")


def test_use_changes_the_schema_of_one_repl(forms: RemoteSession) -> None:
    for text in ("use forms", "use gold.forms", "use `sample`.gold.forms"):
        forms.rows("use dbo")
        forms.rows(text)
        assert forms.rows("select current_schema(), id from t") == [["forms", 1]]
    forms.rows("use dbo")
    assert forms.text("spark.catalog.currentDatabase()") == "'dbo'"
    found = forms.text("sorted(one.name for one in spark.catalog.listTables('gold.forms'))")
    assert "'t'" in found
    assert "'forms'" in forms.text("[one.name for one in spark.catalog.listDatabases()]")


def test_a_schema_is_dropped_with_its_tables(gateway: Gateway, schemas: RemoteSession) -> None:
    schemas.rows("create schema gone")
    schemas.rows("create table gone.t as select 1 as id")
    assert schemas.run("drop schema gone", "sql")["status"] == "error"
    schemas.rows("drop schema if exists `gold`.`gone` cascade")
    assert [f"{SPELLED}.`gone`"] not in schemas.rows("show schemas")
    assert not (Path(lakehouse(gateway, "gold")["folder"]) / "Tables" / "gone").exists()


def test_a_folder_of_delta_folders_that_appears_becomes_a_schema(
    gateway: Gateway, forms: RemoteSession
) -> None:
    tables = Path(lakehouse(gateway, "gold")["folder"]) / "Tables"
    shutil.copytree(tables / "forms" / "t", tables / "appeared" / "t")

    def listed() -> bool:
        return [f"{SPELLED}.`appeared`"] in forms.rows("show schemas")

    wait_for(listed, seconds=180, what="the schema is registered", every=1)
    assert forms.rows("select id from gold.appeared.t") == [[1]]


def test_lakehouses_of_a_workspace_reach_each_other(
    gateway: Gateway, session: RemoteSession, forms: RemoteSession
) -> None:
    session.rows("create table of_sample as select 7 as id")
    assert forms.rows("select id from sample.dbo.of_sample") == [[7]]
    assert forms.rows("show schemas in sample") == [["`sample`.`sample`.`dbo`"]]
    forms.rows("create table inside as select 8 as id")
    forms.rows("create view forms.without_schema as select id from inside")
    forms.rows("create view forms.with_lakehouse as select id from gold.forms.t")
    gateway.livius("lakehouse", "create", "platinum", "--schemas")
    with client_of(gateway, "platinum").session(name="other") as other:
        assert other.rows("show schemas") == [["`sample`.`platinum`.`dbo`"]]
        assert ["`sample`.`gold`.`forms`"] in other.rows("show schemas in gold")
        assert other.rows("select id from gold.forms.t") == [[1]]
        assert other.rows("select id from gold.forms.without_schema") == [[8]]
        assert other.rows("select id from gold.forms.with_lakehouse") == [[1]]
        other.rows("create table gold.forms.from_other as select 9 as id")
        assert other.text("spark.table('sample.gold.forms.from_other').first().id") == "9"
        missing = other.run("select id from forms.t", "sql")
        assert "TABLE_OR_VIEW_NOT_FOUND" in missing["evalue"]
    assert forms.rows("select id from forms.from_other") == [[9]]


def dbt(gateway: Gateway, project: Path, *arguments: str) -> str:
    known = gateway.connection
    return run(
        gateway,
        client_python("dbt-samdebruyn").with_name("dbt"),
        "--no-use-colors",
        *arguments,
        "--profiles-dir",
        "samdebruyn",
        cwd=project,
        FABRIC_TENANT_ID=known["tenant_id"],
        FABRIC_CLIENT_ID=known["client_id"],
        FABRIC_WORKSPACE_ID=known["workspace_id"],
        DBT_ENV_SECRET_CLIENT=known["client_secret"],
    )


def test_dbt_with_the_adapter_of_sam_debruyn_builds_in_high_concurrency_sessions(
    gateway: Gateway, gold: Client, tmp_path: Path
) -> None:
    project = tmp_path / "dbt"
    shutil.copytree(ROOT / "examples" / "dbt", project)
    shared = Shared(gold)
    try:
        for _again in range(2):  # the second time the incremental model merges
            assert "Done. PASS=10 WARN=0 ERROR=0" in dbt(gateway, project, "build")
        # One driver for both runs, as its tag is the lakehouse's; a repl for each model and test.
        [repls] = shared.repls()
        assert 20 <= repls <= 40
    finally:
        shared.end()
