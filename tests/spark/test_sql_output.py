"""The outputs of SQL statements: values of every type, several statements, odd input."""

from typing import Any

import pytest

from support.gateway import RemoteSession, by_runtime
from support.marks import IS_SPARK_4

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

EMPTY = {"schema": {"type": "struct", "fields": []}, "data": []}


def body(session: RemoteSession, query: str) -> dict[str, Any]:
    output = session.run(query, "sql")
    assert output["status"] == "ok", output
    found: dict[str, Any] = output["data"]["application/json"]
    return found


def cell(session: RemoteSession, expression: str) -> Any:
    [[value]] = body(session, f"select {expression}")["data"]
    return value


VALUES: list[tuple[str, Any]] = [
    ("null", None),
    ("true", True),
    ("cast(1 as tinyint)", 1),
    ("9223372036854775807", 9223372036854775807),
    ("cast(0.1 as float)", 0.1),
    ("double('NaN')", "NaN"),
    ("float('-inf')", "-Infinity"),
    ("cast('12345678901234567890.123456789' as decimal(38, 9))", "12345678901234567890.123456789"),
    ("cast(0 as decimal(20, 18))", "0.000000000000000000"),
    ("date'2024-02-29'", "2024-02-29"),
    ("date'-0005-01-01'", "-0005-01-01"),
    ("timestamp'2024-01-01 10:00:00.12'", "2024-01-01 10:00:00.12"),
    ("timestamp'0001-01-01 00:00:00'", "0001-01-01 00:00:00"),
    ("timestamp_ntz'12024-01-01 10:00:00'", "+12024-01-01 10:00:00"),
    ("interval '1 2:3:4' day to second", "INTERVAL '1 02:03:04' DAY TO SECOND"),
    ("interval '1-2' year to month", "INTERVAL '1-2' YEAR TO MONTH"),
    ("make_interval(1, 2)", "1 years 2 months"),
    ("x'ff00'", "/wA="),
    ("cast(x'ff41' as string)", "\ufffdA"),
    ("'😀 עברית e\u0301'", "😀 עברית e\u0301"),
    ("char(0)", "\0"),
    ("array(1, null)", [1, None]),
    (
        "named_struct('a', 1, 'b', array(date'2024-01-01'))",
        {"a": 1, "b": ["2024-01-01"]},
    ),
    ("map(1, 'x', 2, null)", {"1": "x", "2": None}),
    ("map(date'2024-01-01', interval '1' day)", {"2024-01-01": "INTERVAL '1' DAY"}),
    ("map(struct(1, 2), true)", {'{"col1":1,"col2":2}': True}),
]
if IS_SPARK_4:
    VALUES += [
        ("time'10:00:00.5'", "10:00:00.5"),
        ('parse_json(\'{"a": [1, "x"]}\')', {"a": [1, "x"]}),
    ]


def test_values_of_every_type(session: RemoteSession) -> None:
    query = ", ".join(expression for expression, _ in VALUES)
    [row] = body(session, f"select {query}")["data"]
    assert row == [value for _, value in VALUES]


def test_schema_types_have_sparks_names(session: RemoteSession) -> None:
    fields = body(session, "select 1 a, 2 a, map(1, date'2024-01-01') m")["schema"]["fields"]
    assert [field["name"] for field in fields] == ["a", "a", "m"]
    assert fields[2]["type"] == {
        "type": "map", "keyType": "integer", "valueType": "date", "valueContainsNull": False
    }  # fmt: skip


def test_moments_are_in_the_sessions_time_zone(session: RemoteSession) -> None:
    body(session, "set time zone 'Asia/Tokyo'")
    assert cell(session, "timestamp'2024-01-01 00:00:00+00:00'") == "2024-01-01 09:00:00"
    body(session, "reset spark.sql.session.timeZone")


def test_names_may_be_there_twice(session: RemoteSession) -> None:
    assert body(session, "select 1 a, 2 a, timestamp'2024-01-01' a")["data"] == [
        [1, 2, "2024-01-01 00:00:00"]
    ]


def test_rows_above_the_limit_are_cut_and_it_is_said(session: RemoteSession) -> None:
    output = session.run("select id from range(10001)", "sql")
    result = output["data"]["application/json"]
    assert (len(result["data"]), result["truncated"], result["row_limit"]) == (10000, True, 10000)
    assert output["data"]["text/plain"] == "The first 10000 rows are given; there are more."
    assert "truncated" not in body(session, "select id from range(10000)")


def test_a_result_too_large_for_the_link_is_cut_too(session: RemoteSession) -> None:
    output = session.run("select repeat('x', 100000) from range(1000)", "sql")
    result = output["data"]["application/json"]
    assert 0 < len(result["data"]) < 1000
    assert result["truncated"]
    assert "rows are given" in output["data"]["text/plain"]
    assert cell(session, "1") == 1


def test_several_statements_give_the_last_result(session: RemoteSession) -> None:
    assert body(
        session,
        "create or replace temp view one as select 'a;b' as x; -- c ; d\nselect * from one;",
    )["data"] == [["a;b"]]
    assert body(session, "select 1; use sample") == EMPTY
    output = session.run("select 1; select * from nowhere_at_all; select 3", "sql")
    assert output["evalue"].startswith("[TABLE_OR_VIEW_NOT_FOUND]")
    assert output["traceback"][0] == "In statement 2 of 3, at line 1:\n"


@pytest.mark.parametrize("code", ["", "  \n", ";;", "-- only", "/* a ; /* b */ */ ;"])
def test_nothing_to_run_gives_the_empty_struct(session: RemoteSession, code: str) -> None:
    assert body(session, code) == EMPTY


def test_commands(session: RemoteSession) -> None:
    assert body(session, "set spark.sql.ansi.enabled")["data"] == [
        ["spark.sql.ansi.enabled", by_runtime("false", "true")]
    ]
    assert ["default"] in body(session, "show databases")["data"]
    assert "Physical Plan" in body(session, "explain select 1")["data"][0][0]
    assert "Function: abs" in body(session, "describe function abs")["data"][0][0]
    assert body(session, "drop table if exists nothing_here") == EMPTY


@pytest.mark.parametrize("code", ["selec 1", "select 'open", "select 1 +"])
def test_a_parse_error_has_class_and_position(session: RemoteSession, code: str) -> None:
    output = session.run(code, "sql")
    assert (output["status"], output["ename"]) == ("error", "Error")
    assert output["evalue"].startswith("[")
    assert "pos " in output["evalue"]
    assert cell(session, "1") == 1


def test_a_comment_without_end_is_an_error(session: RemoteSession) -> None:
    assert "[UNCLOSED_BRACKETED_COMMENT]" in session.run("select /* open", "sql")["evalue"]


def test_large_and_odd_code(session: RemoteSession) -> None:
    assert cell(session, f"length('{'x' * 5_000_000}')") == 5_000_000
    assert cell(session, "'a\0b'") == "a\0b"


def test_a_large_row_limit_is_announced_too(session: RemoteSession) -> None:
    text = session.text(
        "import json; from livius_agent.sql import run_sql\n"
        "made = run_sql(spark, 'select id, date\"2024-01-01\" d from range(30000)', 25000, print)\n"
        "found = made['data']['application/json']\n"
        "len(found['data']), json.loads(bytes(found['data'][24999])), found['truncated']"
    )
    assert text == (
        "The first 25000 rows are given; there are more.\n\n(25000, [24999, '2024-01-01'], True)"
    )
