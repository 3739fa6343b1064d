"""Relative paths mean the lakehouse's root, wherever Spark and Delta take a path."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import repls
from support.gateway import Client, Gateway, RemoteSession
from support.marks import IS_SPARK_4

pytestmark = [pytest.mark.spark, pytest.mark.timeout(400)]

SETUP = """
from delta.tables import DeltaTable
spark.sql("create table if not exists rel_base as select 1 as id")
for version in (1, 2):
    spark.range(3).write.format("delta").mode("overwrite").save("Files/rel/d")
spark.range(3).write.parquet("Files/rel/p")
spark.range(3).write.json("Files/rel/j")
spark.range(3).write.csv("Files/rel/c")
spark.range(3).write.parquet("Files/rel/conv")
two = spark.range(2)
two.write.format("delta").save("Files/rel/two")
"""

STATEMENTS = """
select count(*) from delta.`Tables/rel_base` -> 1
select count(*) from DELTA.`Files/rel/d` version as of 0 -> 3
select count(*) from delta.`Files/rel/d@v0` -> 3
select (select count(*) from delta.`Files/rel/d`) -> 3
with t as (select * from delta.`Files/rel/d`) select count(*) from t -> 3
begin declare n int; set n = (select count(*) from delta.`Files/rel/d`); select n; end -> 3
select count(*) from parquet.`Files/rel/p` -> 3
select count(*) from json.`Files/rel/j` -> 3
select count(*) from csv.`Files/rel/c` -> 3
select count(*) from rel_base where id in (select id from delta.`Files/rel/d`) -> 1
execute immediate 'select count(*) from delta.`Files/rel/d`' -> 3
cache table rel_cached as select * from delta.`Files/rel/d`
create temporary view rel_temp as select * from delta.`Files/rel/d`
select count(*) from rel_temp join rel_cached using (id) -> 3
insert overwrite directory 'Files/rel/out' using parquet select 1 as a
select count(*) from parquet.`Files/rel/out` -> 1
create view rel_view as select * from delta.`Files/rel/d`
select count(*) from rel_view -> 3
explain select * from delta.`Files/rel/d`
describe query select * from delta.`Files/rel/d`
describe table delta.`Files/rel/d`
describe history delta.`Files/rel/d`
describe detail delta.`Files/rel/d`
describe history 'Files/rel/d'
optimize delta.`Files/rel/d` where true vorder
vacuum delta.`Files/rel/d`
restore table delta.`Files/rel/d` to version as of 0
insert into delta.`Files/rel/d` values (9)
update delta.`Files/rel/d` set id = 10 where id = 9
delete from delta.`Files/rel/d` where id = 10
merge into delta.`Files/rel/d` t using rel_base s on t.id = s.id when matched then delete
select count(*) from delta.`Files/rel/d` -> 2
create table delta.`Files/rel/made` (a int) using delta
create or replace table delta.`Files/rel/made` using delta as select 1 as a
alter table delta.`Files/rel/made` add column b int
select count(*) from delta.`Files/rel/made` -> 1
convert to delta parquet.`Files/rel/conv`
select count(*) from delta.`Files/rel/conv` -> 3
create table delta.`Files/rel/clone` shallow clone rel_base
create table rel_clone shallow clone delta.`Files/rel/d` location 'Files/rel/clone2'
select count(*) from rel_clone -> 2
create table rel_loc (a int) location 'Files/rel/loc'
insert into rel_loc values (1)
select count(*) from delta.`Files/rel/loc` -> 1
create table rel_loc2 location 'Files/rel/loc2' as select 1 as a
select count(*) from rel_loc2 -> 1
create or replace table rel_loc2 location 'Files/rel/loc2' as select explode(array(1, 2)) as a
select count(*) from delta.`Files/rel/loc2` -> 2
create table rel_p using parquet location 'Files/rel/p'
select count(*) from rel_p -> 3
create table rel_o using json options (path 'Files/rel/j')
select count(*) from rel_o -> 3
create table rel_part (a int, d int) using parquet partitioned by (d) location 'Files/rel/part'
alter table rel_part add partition (d = 1) location 'Files/rel/part_one'
alter table rel_p set location 'Files/rel/conv'
create database rel_db location 'Files/rel/db'
create table rel_db.t as select 1 as a
select count(*) from delta.`Files/rel/db/t` -> 1
create database delta location 'Files/rel/db_delta'
create table delta.rel_base as select 7 as a
select a from delta.rel_base -> 7
select count(*) from delta.`Tables/rel_base` -> 1
drop database delta cascade
"""

PYTHON = (
    "spark.table('delta.`Files/rel/two`').count()",
    "spark.read.format('delta').load('Files/rel/two').count()",
    "DeltaTable.forPath(spark, 'Files/rel/two').toDF().count()",
    "DeltaTable.forName(spark, 'delta.`Files/rel/two`').toDF().count()",
    (
        "two.writeTo('delta.`Files/rel/to`').using('delta').create()\n"
        "spark.table('delta.`Files/rel/to`').count()"
    ),
    (
        "two.write.option('path', 'Files/rel/save').saveAsTable('rel_save')\n"
        "spark.table('rel_save').count()"
    ),
    (
        "two.write.option('path', 'Files/rel/savep').format('parquet').saveAsTable('rel_savep')\n"
        "spark.table('rel_savep').count()"
    ),
    (
        "two.write.format('delta').saveAsTable('delta.`Files/rel/named`')\n"
        "two.write.insertInto('delta.`Files/rel/named`', overwrite=True)\n"
        "spark.table('delta.`Files/rel/named`').count()"
    ),
    (
        "stream = spark.readStream.format('delta').load('Files/rel/to').writeStream\n"
        "stream = stream.format('delta').option('checkpointLocation', 'Files/rel/checkpoint')\n"
        "stream.trigger(availableNow=True).toTable('rel_stream', path='Files/rel/streamed')"
        ".awaitTermination()\n"
        "spark.read.format('delta').load('Files/rel/streamed').count()"
    ),
    "spark.catalog.createTable('rel_cat', 'Files/rel/two', 'delta').count()",
    "spark.catalog.createTable('rel_catp', 'Files/rel/p', 'parquet').limit(2).count()",
    (
        "two.write.format('delta').save('Files/rel/built')\n"
        "built = DeltaTable.createIfNotExists(spark).tableName('rel_built')\n"
        "built.addColumn('id', 'bigint').location('Files/rel/built').execute().toDF().count()"
    ),
)


@pytest.fixture(scope="module")
def prepared(client: Client) -> Iterator[RemoteSession]:
    with repls.shared(client, 1) as [repl]:
        repl.text(SETUP)
        yield repl


def test_in_sql(prepared: RemoteSession) -> None:
    wrong = []
    later = () if IS_SPARK_4 else ("begin ", "execute immediate ")  # Spark 3.5 has neither
    for line in STATEMENTS.strip().splitlines():
        if line.startswith(later):
            continue
        statement, _, expected = line.partition(" -> ")
        output = prepared.run(statement, "sql")
        found = output.get("evalue") or output["data"]["application/json"]["data"]
        if output["status"] != "ok" or (expected and found != [[int(expected)]]):
            wrong.append((statement, found))
    assert not wrong, wrong


def test_in_python(prepared: RemoteSession, gateway: Gateway) -> None:
    found = [(line, prepared.run(line)) for line in PYTHON]
    wrong = [line for line in found if line[1].get("data") != {"text/plain": "2"}]
    assert not wrong, wrong
    assert not (_root(gateway) / "Tables" / "Files").exists()


def test_in_scala(prepared: RemoteSession) -> None:
    code = """
spark.range(2).write.format("delta").save("Files/rel/scala")
spark.range(2).write.option("path", "Files/rel/scala_saved").saveAsTable("rel_scala")
println(Seq(
  spark.table("delta.`Files/rel/scala`"),
  spark.read.table("delta.`Files/rel/scala_saved`"),
  spark.read.format("delta").load("Files/rel/scala"),
  io.delta.tables.DeltaTable.forPath("Files/rel/scala").toDF,
  io.delta.tables.DeltaTable.forName("delta.`Files/rel/scala`").toDF
).map(_.count))
"""
    assert prepared.text(code, "spark").endswith("List(2, 2, 2, 2, 2)")


def test_other_paths_mean_what_they_say(prepared: RemoteSession, gateway: Gateway) -> None:
    root = _root(gateway)
    workspace = f"abfss://{root.parent.name}@onelake.dfs.fabric.microsoft.com"
    prepared.text(
        "spark.range(4).write.format('delta').save('Files/rel/other')\n"
        "spark.range(4).write.parquet('Files/rel/other_p')"
    )
    for place in (root, root.as_uri(), f"../{root.name}", f"{workspace}/{root.name}"):
        for name in (f"delta.`{place}/Files/rel/other`", f"parquet.`{place}/Files/rel/other_p`"):
            output = prepared.run(f"select count(*) from {name}", "sql")
            assert output["status"] == "ok", output
            assert output["data"]["application/json"]["data"] == [[4]]


def _root(gateway: Gateway) -> Path:
    facts = gateway.connection
    return Path(gateway.home, "onelake", facts["workspace_id"], facts["lakehouse_id"])
