"""The outputs of each kind of statement, with real Spark (Fabric contract 2.5)."""

import pytest

from support.gateway import Client, RemoteSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


def test_python_keeps_its_state_and_shows_prints_and_the_last_value(session: RemoteSession) -> None:
    assert session.text("kept = 20") == ""
    assert session.text("print('a'); kept + 1") == "a\n21"


def test_python_has_a_spark_session(session: RemoteSession) -> None:
    assert session.text("spark.range(5).count()") == "5"
    assert "local" in session.text("sc.applicationId")


def test_a_python_error_has_name_value_traceback_and_no_data(session: RemoteSession) -> None:
    output = session.run("print('before')\n1 / 0")
    assert (output["status"], output["ename"]) == ("error", "ZeroDivisionError")
    assert "division by zero" in output["evalue"]
    assert "1 / 0" in "".join(output["traceback"])
    assert output["stdout"] == "before\n"
    assert "data" not in output


def test_a_spark_error_keeps_its_bracketed_class(session: RemoteSession) -> None:
    for code, kind in (
        ("spark.sql('select * from nowhere_at_all')", "pyspark"),
        ("select * from nowhere_at_all", "sql"),
        ('spark.sql("select * from nowhere_at_all").show()', "spark"),
    ):
        output = session.run(code, kind)
        assert output["status"] == "error"
        assert "[TABLE_OR_VIEW_NOT_FOUND]" in output["evalue"]
        assert "data" not in output


def test_sql_gives_rows_with_their_schema(session: RemoteSession) -> None:
    output = session.run(
        "select 1 as a, 'x' as b, cast(1.50 as decimal(5,2)) as c, null as d", "sql"
    )
    result = output["data"]["application/json"]
    assert [field["name"] for field in result["schema"]["fields"]] == ["a", "b", "c", "d"]
    assert result["schema"]["fields"][2]["type"] == "decimal(5,2)"
    [[a, b, c, d]] = result["data"]
    assert (a, b, str(c), d) == (1, "x", "1.50", None)


def test_sql_without_rows_gives_an_empty_struct(session: RemoteSession) -> None:
    output = session.run("create or replace temp view nothing_yet as select 1 as one", "sql")
    assert output["data"]["application/json"]["schema"]["type"] == "struct"
    assert output["data"]["application/json"]["data"] == []


def test_scala_prints_as_classic_livy_does_and_keeps_its_state(session: RemoteSession) -> None:
    assert session.text("1 + 1", "spark").endswith(": Int = 2")
    assert session.text("val kept = 41", "spark") == "kept: Int = 41"
    assert session.text("println(kept + 1)", "spark") == "42"
    table = session.text('spark.sql("SELECT 1 AS a").show()', "spark")
    assert table.splitlines()[1] == "|  a|"


def test_a_spark_error_is_told_once(session: RemoteSession) -> None:
    failing = "spark.sql('select element_at(array(id), int(id)) from range(1)').collect()"
    output = session.run(f"print('before'); {failing}")
    assert output["evalue"].startswith("[INVALID_INDEX_OF_ZERO]")
    assert output["stdout"] == "before\n"


def test_a_scala_error_is_an_error(session: RemoteSession) -> None:
    output = session.run("nonsense + 1", "spark")
    assert (output["status"], output["ename"]) == ("error", "Error")
    assert "not found: value nonsense" in output["evalue"]


def test_a_temp_view_of_one_kind_is_seen_by_the_others(session: RemoteSession) -> None:
    session.text("spark.range(3).createOrReplaceTempView('from_python')")
    session.text('spark.range(4).createOrReplaceTempView("from_scala")', "spark")
    session.run("create or replace temp view from_sql as select * from range(5)", "sql")
    for view, count in (("from_python", 3), ("from_scala", 4), ("from_sql", 5)):
        assert session.text(f"spark.table('{view}').count()") == str(count)
        assert session.rows(f"select count(*) from {view}") == [[count]]
        assert session.text(f'println(spark.table("{view}").count())', "spark") == str(count)


def test_sparkr_says_why_it_is_not_there(session: RemoteSession) -> None:
    answer = session.client.call(
        "POST", f"{session.path}/statements", json={"code": "1", "kind": "sparkr"}
    )
    assert answer.status_code == 400
    assert "not available here, because" in answer.json()["message"]


def test_a_cancelled_python_loop_has_stopped(session: RemoteSession) -> None:
    number = session.submit("import time\nwhile True: time.sleep(0.01)")
    session.cancel(number)
    ended = session.wait(number, 30)
    assert ended["state"] == "cancelled"
    assert ended["output"]["status"] == "error"
    assert session.text("1 + 1") == "2"


def test_statements_sent_while_a_session_starts_run_in_order(client: Client) -> None:
    session = client.create()
    numbers = [session.submit(f"seen = {i}; print(seen)") for i in range(3)]
    assert [session.wait(n)["output"]["data"]["text/plain"] for n in numbers] == ["0", "1", "2"]
    assert session.delete() == 200
