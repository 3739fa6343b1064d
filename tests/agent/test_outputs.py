"""Many rich outputs as one bundle, and answers that fit into a frame."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livius_agent import answers, outputs
from livius_agent.outputs import Outputs
from livius_agent.values import to_json


def merged(*bundles: dict[str, object]) -> dict[str, object]:
    shown = Outputs()
    for bundle in bundles:
        assert shown.add(bundle)
    return shown.merged()


def test_of_each_type_the_last_one_is_given() -> None:
    assert merged({"application/json": 1}, {"application/json": [2], "text/plain": "2"}) == {
        "application/json": [2]
    }


def test_html_is_joined_in_order() -> None:
    assert merged({"text/html": "<a>"}, {"text/plain": "x"}, {"text/html": "<b>"}) == {
        "text/html": "<a>\n<b>"
    }


def test_one_image_stands_alone_and_several_are_in_the_html_too() -> None:
    assert merged({"image/png": b"1"}) == {"image/png": "MQ=="}
    both = merged({"image/png": b"1"}, {"image/svg+xml": "<svg/>"}, {"image/png": b"2"})
    assert both["image/png"] == "Mg=="
    html = str(both["text/html"])
    assert html.index("MQ==") < html.index("<svg/>") < html.index("Mg==")


def test_an_update_takes_the_place_of_what_it_updates() -> None:
    shown = Outputs()
    shown.add({"text/html": "one"}, "a")
    shown.add({"text/html": "two"})
    shown.update({"text/html": "new"}, "a")
    assert shown.merged() == {"text/html": "new\ntwo"}
    shown.clear()
    assert shown.merged() == {}


def test_there_is_an_end_to_what_one_statement_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "LIMIT", 10)
    shown = Outputs()
    assert shown.add({"text/html": "12345678"})
    assert not shown.add({"text/html": "12345678"})
    assert shown.merged() == {"text/html": "12345678"}


def test_rows_are_left_out_until_the_answer_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ANSWER_LIMIT", 1000)
    said: list[str] = []
    body = {"schema": {}, "data": [["x" * 50]] * 100}
    answer = {"number": 1, "outcome": "ok", "data": {"application/json": body}}
    line = answers.encode(answer, said.append)
    assert len(line) <= 1000
    sent = json.loads(line)["data"]["application/json"]
    assert sent["truncated"]
    assert said == [
        f"The first {len(sent['data'])} rows are given: more would have over 1000 bytes.\n"
    ]


def test_rows_of_sql_go_out_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [msgspec.Raw(b'[1.10,"\\u00e4"]')] * 100
    answer = {"number": 1, "data": {"application/json": answers.rows_body({"type": "a"}, rows)}}
    whole = b'{"schema":{"type":"a"},"data":[[1.10,"\\u00e4"]' + b',[1.10,"\\u00e4"]' * 99 + b"]}"
    assert whole in answers.encode(answer, pytest.fail)
    monkeypatch.setattr(answers, "ANSWER_LIMIT", 1000)
    line = answers.encode(answer, lambda _: None)
    sent = json.loads(line)["data"]["application/json"]
    assert 0 < len(sent["data"]) < 100
    assert sent["truncated"]


def test_what_can_not_be_cut_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ANSWER_LIMIT", 1000)
    answer = {"number": 1, "outcome": "ok", "data": {"text/html": "x" * 2000}}
    assert json.loads(answers.encode(answer, lambda _: None))["ename"] == "OutputTooLarge"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.decimals() | st.datetimes() | st.dates() | st.timedeltas(),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@given(anything)
def test_any_value_becomes_strict_json(value: object) -> None:
    json.dumps(to_json(value), allow_nan=False)
    line = answers.encode({"number": 1, "data": {"a": value}}, lambda _: None)
    line.decode("utf-8")
    json.loads(line, parse_constant=pytest.fail)


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_half_a_character_does_not_leave_the_process(text: str) -> None:
    json.loads(answers.encode({"number": 1, "evalue": text}, lambda _: None))
