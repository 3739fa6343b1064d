"""The output of user code is shown safely."""

import base64

import pytest

from livius.domain.statement import Kind
from livius.portal.output_html import ansi_html, code_html, rich

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1); //",
    "</pre></textarea><svg onload=alert(1)>",
    "\x1b[31m<b>\x1b[0m</span><script>",
    "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
    "{{ 7 * 7 }}{% raw %}",
    "a\u202eb\u0000c\x9b31m",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_printed_text_is_text(text: str) -> None:
    html = str(ansi_html(text))
    for tag in ("<script", "<img", "<svg", "<b>", "<a", "</pre"):
        assert tag not in html
    assert "\u202e" not in html
    assert "\x1b" not in html


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", list(Kind))
def test_code_is_text(text: str, kind: Kind) -> None:
    html = str(code_html(text, kind))
    for tag in ("<script", "<img", "<svg", "<b>", "</pre"):
        assert tag not in html


def test_colours_become_classes() -> None:
    html = str(ansi_html("\x1b[1;31mred\x1b[0m plain \x1b[48;5;4mon blue\x1b[0m"))
    assert html == '<span class="a1 ab">red</span> plain <span class="b4">on blue</span>'


def test_what_a_progress_bar_overwrites_is_kept_in_lines() -> None:
    assert str(ansi_html("1%\r2%\r\ndone")) == "1%\n2%\ndone"


def test_rows_of_sql_are_a_table() -> None:
    data = {
        "application/json": {
            "schema": {"fields": [{"name": "<a>"}, {"name": "b"}]},
            "data": [[1, None], [{"x": 1}, "text"]],
        }
    }
    (table,) = rich(data).tables
    assert table.names == ["<a>", "b"]
    assert table.rows == [["1", None], ['{"x": 1}', "text"]]


def test_rows_of_a_livy_table_are_a_table() -> None:
    data = {
        "application/vnd.livy.table.v1+json": {
            "headers": [{"name": "n", "type": "INT_TYPE"}],
            "data": [[1]],
        }
    }
    (table,) = rich(data).tables
    assert (table.names, table.rows) == (["n"], [["1"]])


def test_of_many_rows_the_first_are_shown_and_all_are_counted() -> None:
    data = {"application/json": {"schema": {"fields": [{"name": "n"}]}, "data": [[1]] * 5000}}
    (table,) = rich(data).tables
    assert (len(table.rows), table.total) == (200, 5000)


@pytest.mark.parametrize(
    "value",
    [None, 1, "text", [], {}, {"data": 1}, {"data": [1], "schema": {"fields": 1}}, {"schema": []}],
)
def test_other_json_is_shown_as_it_is(value: object) -> None:
    found = rich({"application/json": value})
    assert found.json is not None or found.tables


def test_an_image_is_data_or_nothing() -> None:
    png = base64.b64encode(b"\x89PNG").decode()
    assert rich({"image/png": png}).images == [f"data:image/png;base64,{png}"]
    assert rich({"image/png": '"><script>'}).images == []
    assert rich({"image/png": 7}).images == []
    (svg,) = rich({"image/svg+xml": "<svg onload=alert(1)>"}).images
    assert svg.startswith("data:image/svg+xml;base64,")


def test_html_is_never_part_of_the_page() -> None:
    found = rich({"text/html": "<script>alert(1)</script>"})
    assert found.has_html
    assert not found.tables
