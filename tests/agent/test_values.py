"""Python's values in JSON."""

import datetime as dt
import decimal
import json
import math
from typing import Any

import pytest

from livius_agent import tables
from livius_agent.answers import encode
from livius_agent.values import DEEPEST, TOO_DEEP, to_json, unique

TOKYO = dt.timezone(dt.timedelta(hours=9))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (2**200, 2**200),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (decimal.Decimal("0E-18"), "0.000000000000000000"),
        (decimal.Decimal("NaN"), "NaN"),
        (dt.datetime.fromisoformat("2024-01-01T10:00:00.12"), "2024-01-01 10:00:00.12"),
        (dt.datetime(2024, 1, 1, tzinfo=TOKYO), "2024-01-01 00:00:00+09:00"),
        (dt.time(10, 0, 0, 500_000), "10:00:00.5"),
        (dt.date(1, 1, 1), "0001-01-01"),
        (b"\xff\x00", "/wA="),
        ({"a": {1: (1, 2)}, None: {3}}, {"a": {"1": [1, 2]}, "null": [3]}),
        ({1: "number", "1": "text"}, {"1": "number", "1_2": "text"}),
        ({(1, "ä"): 1}, {'[1,"ä"]': 1}),
    ],
)
def test_values(value: Any, plain: Any) -> None:
    assert to_json(value) == plain


@pytest.mark.parametrize(
    "value",
    [10**5000, -(10**5000), decimal.Decimal("1E+999999"), [10**5000], {10**5000: 1}, math.nan],
    ids=["large", "negative", "exponent", "item", "key", "nan"],
)
def test_whatever_it_is_the_answer_is_json_of_a_bounded_size(value: Any) -> None:
    answer = {"number": 1, "outcome": "ok", "data": {"application/json": to_json(value)}}
    line = encode(answer, print)
    assert len(line) < 20_000
    json.loads(line)


def test_what_is_nested_too_deep_says_so() -> None:
    circle: list[Any] = []
    circle.append(circle)
    text = json.dumps(to_json({"circle": circle}))
    assert TOO_DEEP in text
    assert text.count("[") == DEEPEST


def test_names_that_are_there_twice() -> None:
    assert unique(["a", "a", "a_2", "a", "b"]) == ["a", "a_2", "a_2_2", "a_3", "b"]


def test_a_table_keeps_columns_of_one_name_apart() -> None:
    class Row(tuple[Any, ...]):  # as PySpark's, whose fields need not have names of their own
        __slots__ = ()
        __fields__ = ("a", "a")

    made, note = tables.table_of([Row((1, "x")), Row((2, "y"))])
    assert note is None
    assert made == {
        "headers": [{"name": "a", "type": "BIGINT_TYPE"}, {"name": "a", "type": "STRING_TYPE"}],
        "data": [[1, "x"], [2, "y"]],
    }
    assert tables.json_of(Row((1, 2))) == ({"a": 1, "a_2": 2}, None)


def test_nan_in_a_column_of_text_is_missing_and_elsewhere_a_number() -> None:
    nan = float("nan")
    made, _ = tables.table_of([{"t": "x", "d": nan}, {"t": nan, "d": 1.5}, {"t": None, "d": None}])
    assert [head["type"] for head in made["headers"]] == ["STRING_TYPE", "DOUBLE_TYPE"]
    assert made["data"] == [["x", "NaN"], [None, 1.5], [None, None]]
    with pytest.raises(ValueError, match="column 0 holds both BIGINT_TYPE and STRING_TYPE"):
        tables.table_of([1, "x"])
