"""Tables and views of a lakehouse, shared by its sessions (design: one metastore)."""

from pathlib import Path

import pytest

from support.gateway import Gateway, RemoteSession
from support.repls import RemoteRepl
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


def lakehouse_root(gateway: Gateway) -> Path:
    facts = gateway.connection
    return gateway.home / "onelake" / str(facts["workspace_id"]) / str(facts["lakehouse_id"])


def test_two_sessions_at_once_read_each_others_tables_and_views(
    session: RemoteSession, fresh: RemoteRepl
) -> None:
    one, two = session, fresh
    assert one.id != two.id
    one.run("create table from_one as select 1 as a", "sql")
    one.run("create view view_of_one as select a + 1 as b from from_one", "sql")
    two.text("spark.range(7).write.saveAsTable('from_two')")
    assert two.rows("select * from from_one") == [[1]]
    assert two.rows("select * from view_of_one") == [[2]]
    assert one.text("spark.table('from_two').count()") == "7"
    assert one.text('println(spark.table("from_two").count())', "spark") == "7"


def test_tables_are_delta_and_lie_in_the_lakehouse(
    gateway: Gateway, session: RemoteSession
) -> None:
    session.run("create table where_am_i as select 1 as a", "sql")
    assert (lakehouse_root(gateway) / "Tables" / "where_am_i" / "_delta_log").is_dir()
    [[name]] = session.rows("select current_database()")
    assert name == "sample"
    session.run("update where_am_i set a = 2", "sql")
    history = session.rows("describe history where_am_i")
    assert {row[4] for row in history} >= {"UPDATE"}


def test_relative_paths_mean_the_lakehouse(gateway: Gateway, session: RemoteSession) -> None:
    session.text("spark.range(3).write.mode('overwrite').csv('Files/numbers')")
    assert (lakehouse_root(gateway) / "Files" / "numbers").is_dir()
    assert session.text("spark.read.csv('Files/numbers').count()") == "3"
    assert session.rows("select count(*) from csv.`Files/numbers`") == [[3]]
    counted = session.text('println(spark.read.csv("Files/numbers").count())', "spark")
    assert counted == "3"
    assert session.text("open('Files/plain.txt', 'w').write('hello')") == "5"
    assert (lakehouse_root(gateway) / "Files" / "plain.txt").read_text() == "hello"


def test_a_delta_folder_that_appears_becomes_a_table(session: RemoteSession) -> None:
    session.text("spark.range(4).write.format('delta').save('Tables/appeared')")

    def listed() -> bool:
        return any("appeared" in row for row in session.rows("show tables"))

    wait_for(listed, seconds=60, what="the folder is registered", every=1)
    assert session.rows("select count(*) from appeared") == [[4]]
