"""How the rows of a result are written: each value, nothing lost, nothing that moves a cursor."""

import base64
import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pyarrow import ipc

from livius.cli.answers import Failed
from livius.cli.work.arrow import needs_zone, write_arrow
from livius.cli.work.results import Rows, rows_of, write_csv, write_json, write_table


def rows(columns: dict[str, object], *data: list[object]) -> Rows:
    return Rows(fields=[{"name": name, "type": kind} for name, kind in columns.items()], data=data)


def table(found: Rows) -> list[str]:
    file = io.StringIO()
    write_table(found, file)
    return file.getvalue().splitlines()


def test_a_table_has_numbers_at_the_right_and_null_by_name() -> None:
    found = rows({"name": "string", "n": "long"}, ["a", 1], [None, 1000])
    assert table(found) == ["name     n", "────  ────", "a        1", "NULL  1000"]


def test_wide_characters_take_two_columns() -> None:
    assert table(rows({"a": "string", "b": "string"}, ["臺北", "x"], ["abc", "y"])) == [
        "a     b",
        "────  ─",
        "臺北  x",
        "abc   y",
    ]


def test_a_table_has_no_character_that_controls_the_terminal() -> None:
    found = table(rows({"a\n": "string"}, ["\x1b[2J\r\x9b1m\t"]))
    assert found == [r"a\n", "─" * 17, r"\x1b[2J\r\x9b1m\t"]


def test_csv_is_read_back_by_any_reader() -> None:
    found = rows(
        {"t": "string", "n": "double", "l": {"type": "array"}, "b": "boolean"},
        ['a,"b"\nc', 1.5, [1, "x"], True],
        [None, "NaN", None, None],
    )
    file = io.StringIO()
    write_csv(found, file)
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [
        ["t", "n", "l", "b"],
        ['a,"b"\nc', "1.5", '[1, "x"]', "true"],
        ["", "NaN", "", ""],
    ]


def test_json_loses_no_digit_and_no_column() -> None:
    found = Rows(
        fields=[{"name": name, "type": "long"} for name in ("a", "a", "a_2")],
        data=[[2**60 + 1, "é", None]],
    )
    file = io.StringIO()
    write_json(found, file)
    assert json.loads(file.getvalue()) == [{"a": 2**60 + 1, "a_2": "é", "a_2_2": None}]


@pytest.mark.parametrize(
    ("write", "text"), [(write_table, ""), (write_csv, ""), (write_json, "[]\n")]
)
def test_a_statement_without_rows_is_empty(write: object, text: str) -> None:
    file = io.StringIO()
    write(Rows(fields=[], data=[]), file)  # type: ignore[operator]
    assert file.getvalue() == text


def test_rows_are_found_in_sql_and_in_a_table_magic_and_nowhere_else() -> None:
    fields = [{"name": "a", "type": "long"}]
    sql = rows_of({"application/json": {"schema": {"fields": fields}, "data": [[1]]}})
    magic = rows_of({"application/vnd.livy.table.v1+json": {"headers": fields, "data": [[1]]}})
    assert sql == magic == Rows(fields=fields, data=[[1]])
    assert rows_of({"application/json": {"schema": "x"}}) is None
    assert rows_of({"image/png": ""}) is None


LONG = "123456789012345678901234567890.12"
TWICE = [{"name": "x", "type": "long"}, {"name": "x", "type": "binary"}]
PRICES = {"type": "map", "keyType": "string", "valueType": "decimal(3,1)"}


def arrow(found: Rows, zone: str = "Europe/Berlin") -> pa.Table:
    file = io.BytesIO()
    write_arrow(found, file, zone=zone)
    return ipc.open_stream(file.getvalue()).read_all()


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [
        ("long", 2**62, 2**62),
        (
            "decimal(38,2)",
            "123456789012345678901234567890.12",
            Decimal("123456789012345678901234567890.12"),
        ),
        ("double", "Infinity", float("inf")),
        ("binary", base64.b64encode(b"\xff").decode(), b"\xff"),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("timestamp_ntz", "2024-01-01 10:00:00.5", datetime(2024, 1, 1, 10, 0, 0, 500_000)),  # noqa: DTZ001
        ("timestamp", "2024-07-01 10:00:00", datetime(2024, 7, 1, 8, tzinfo=UTC)),
        ("boolean", True, True),
        ("void", None, None),
        ("interval day", "INTERVAL '1' DAY", "INTERVAL '1' DAY"),
        ("variant", {"a": [1]}, '{"a": [1]}'),
        ({"type": "array", "elementType": "date"}, ["2024-02-29", None], [date(2024, 2, 29), None]),
        (
            {
                "type": "struct",
                "fields": [{"name": "x", "type": "long"}, {"name": "x", "type": "binary"}],
            },
            {"x": 1, "x_2": "/w=="},
            {"x": 1, "x_2": b"\xff"},
        ),
        (
            {"type": "map", "keyType": "string", "valueType": "decimal(3,1)"},
            {"a": "1.5"},
            [("a", Decimal("1.5"))],
        ),
    ],
)
def test_arrow_has_sparks_types(kind: object, sent: object, value: object) -> None:
    found = rows({"a": kind}, [sent], [None])
    assert arrow(found).column("a").to_pylist() == [value, None]


def test_arrow_moments_have_the_sessions_zone() -> None:
    found = arrow(rows({"a": "timestamp"}, ["2024-07-01 10:00:00"]))
    assert found.schema.field("a").type == pa.timestamp("us", tz="Europe/Berlin")
    assert found.column("a")[0].as_py().tzinfo == ZoneInfo("Europe/Berlin")


def test_the_zone_is_asked_for_only_where_there_are_moments() -> None:
    assert needs_zone(rows({"a": {"type": "array", "elementType": "timestamp"}}))
    assert not needs_zone(rows({"timestamp": "timestamp_ntz", "b": "string"}))


def test_arrow_keeps_two_columns_of_one_name_and_a_result_without_rows() -> None:
    twice = Rows(fields=[{"name": "a", "type": "long"}] * 2, data=[])
    assert arrow(twice).schema.names == ["a", "a"]
    assert arrow(Rows(fields=[], data=[])).num_columns == 0


def test_a_value_that_arrow_has_no_room_for_is_an_error_that_names_the_column() -> None:
    with pytest.raises(Failed, match=r"The column started_at .*--format json"):
        arrow(rows({"started_at": "date"}, ["+12024-01-01"]))
