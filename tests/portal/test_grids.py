"""Rows as grids: of SQL, of display() and pandas, of tables and files; read, and in a browser."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from livius.domain.lakehouse import Role
from livius.domain.statement import Ending
from livius.portal.grids import as_csv, column, grids_of, guessed
from livius.portal.output_html import beside_rich, has_columns
from livius_agent.text import json_bytes
from portal.conftest import Look, Visitor, Windows, activity, write_table
from portal.test_output_html import HOSTILE
from support.browsing import Served
from support.chromium import check, fits

SPARK = "<table border='1'>\n<tr><th>city</th><th>people</th></tr>\n{}</table>\n{}"
ROWS = "<tr><td>Padua</td><td>207000</td></tr>\n<tr><td>A &lt; B</td><td>-1.5</td></tr>\n"
PANDAS = """<div>
<style scoped>
    .dataframe tbody tr th { vertical-align: top; }
</style>
<table border="1" class="dataframe">
  <thead>
    <tr style="text-align: right;"><th></th><th>n</th></tr>
  </thead>
  <tbody>
    <tr><th>0</th><td>1</td></tr>
    <tr><th>1</th><td>NaN</td></tr>
  </tbody>
</table>
<p>2 rows \u00d7 1 columns</p>
</div>"""


def sql(fields: list[tuple[str, object]], rows: list[list[object]]) -> dict[str, object]:
    heads = [{"name": name, "type": kind} for name, kind in fields]
    return {"application/json": {"schema": {"fields": heads}, "data": rows}}


@pytest.mark.parametrize(
    ("type_name", "kind"),
    [
        ("long", "number"),
        ("decimal(10,2)", "number"),
        ("BIGINT_TYPE", "number"),
        ("timestamp_ntz", "time"),
        ("DATE_TYPE", "time"),
        ("boolean", "flag"),
        ("array<string>", "nested"),
        ("string", "text"),
        ("interval day", "text"),
        ("", "text"),
    ],
)
def test_types_have_kinds(type_name: str, kind: str) -> None:
    assert column("x", type_name).kind == kind


def test_kinds_are_guessed_from_values() -> None:
    rows = [["1", "2022-01-01", "a", None], ["", "2022-01-01 10:00:00", "2", None]]
    assert [one.kind for one in guessed("abcd", rows)] == ["number", "time", "text", "text"]


def test_tables_of_spark_and_pandas_are_grids() -> None:
    [grid] = grids_of({"text/html": SPARK.format(ROWS, "only showing top 2 rows\n")})
    assert grid.rows == [["Padua", "207000"], ["A < B", "-1.5"]]
    assert [(one.name, one.kind) for one in grid.columns] == [
        ("city", "text"),
        ("people", "number"),
    ]
    assert grid.is_cut
    [grid] = grids_of({"text/html": PANDAS})
    assert grid.rows == [["0", "1"], ["1", "NaN"]]
    assert [one.kind for one in grid.columns] == ["number", "number"]
    two = grids_of({"text/html": SPARK.format(ROWS, "") + SPARK.format("", "")})
    assert [one.total for one in two] == [2, 0]


@pytest.mark.parametrize(
    "html",
    [
        "<h3>rich</h3>",
        "<table>",
        "<table></table>",
        "<table><tr><th>a</th></tr><tr><td>1</td><td>2</td></tr></table>",
        '<table><tr><th colspan="2">a</th></tr></table>',
        "<table><tr><th>a<script>alert(1)</script></th></tr></table>",
        "<table><tr><td><img src=x onerror=alert(1)></td></tr></table>",
        "<table><tr><td>a</td></tr></table>and words",
        "<table><tr><td>a</tr></td></table>",
    ],
)
def test_other_html_keeps_its_frame(html: str) -> None:
    assert grids_of({"text/html": html}) == []


def test_csv_has_all_of_each_cell() -> None:
    data = sql([("a,b", "string"), ("n", "long")], [["x" * 3000, 1], ['say "hi"\n', None]])
    [grid] = grids_of(data, longest=None)
    assert as_csv(grid).decode() == '"a,b",n\r\n' + "x" * 3000 + ',1\r\n"say ""hi""\n",\r\n'


def test_text_forms_of_tables_go_and_prints_stay() -> None:
    drawn = "+---+\n|  n|\n+---+\n|  1|\n+---+\nonly showing top 1 row\n\n"
    figure = "<Figure size 640x480 with 1 Axes>\n"
    assert beside_rich(f"before\n{drawn}{figure}after\n", tables=1) == "before\nafter"
    assert beside_rich("| no table |\n+1\n", tables=1) == "| no table |\n+1"
    # What show() printed by itself is nowhere else.
    shown = drawn.replace("|  n|", "|  m|")
    assert beside_rich(f"{shown}{figure}", tables=0) == shown.strip("\n")
    assert beside_rich(f"{shown}{drawn}", tables=1) == shown.strip("\n")
    assert has_columns(drawn)
    assert not has_columns("a + b")


def run(served: Served, data: dict[str, object]) -> str:
    session = served.site.session()
    ending = Ending(ok=True, data=json_bytes(data))
    number = served.site.run(session, "x", kind="sql", ending=ending)
    return f"{activity(session)}/statements/{number}"


def test_all_rows_come_as_json_and_csv(served: Served, ada: Visitor) -> None:
    many: list[list[object]] = [[number, None] for number in range(10_050)]
    path = run(served, sql([("n", "long"), ("x", "string")], many))
    page = ada.get(path.partition("/statements")[0]).text
    assert "200 of 10,050 rows" in page
    assert page.partition("<tbody>")[2].partition("</tbody>")[0].count("<tr>") == 200
    rows = ada.get(f"{path}/rows").json()["rows"]
    assert (len(rows), rows[-1]) == (10_000, ["9999", None])
    answer = ada.get(f"{path}/csv")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.text.splitlines()[-1] == "10049,"
    assert ada.get(f"{path}/rows?table=1").status_code == 404
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    for part in ("rows", "csv"):
        assert viewer.get(f"{path}/{part}").status_code == 403


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_becomes_part_of_a_page(served: Served, ada: Visitor, text: str) -> None:
    path = run(served, sql([(text, text)], [[text], [{text: [text]}]]))
    page = ada.get(path.partition("/statements")[0]).text
    for part in ("<script>alert", "<img", "<svg onload", "</pre></textarea>"):
        assert part not in page


@pytest.fixture
def page(strict_page: Page) -> Page:
    strict_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return strict_page


def values(page: Page, at: int) -> list[str]:
    return page.locator(f".cells tbody tr:not(.space) td:nth-child({at})").all_inner_texts()


def head(page: Page, name: str) -> Locator:
    return page.locator(".cells th").get_by_role("button", name=name, exact=True)


def test_ten_thousand_rows_are_sorted_filtered_and_scrolled(page: Page, served: Served) -> None:
    many: list[list[object]] = [[(n * 7919) % 10_000, f"row {n}", None] for n in range(10_000)]
    path = run(served, sql([("n", "long"), ("label", "string"), ("gone", "string")], many))
    page.goto(served.url + path.partition("/statements")[0])
    expect(page.locator(".cells tbody tr")).to_have_count(200)
    expect(page.locator(".data .shown")).to_have_text("200 of 10,000 rows")
    head(page, "n").click()
    expect(page.locator(".cells th").first).to_have_attribute("aria-sort", "ascending")
    assert values(page, 1)[:3] == ["0", "1", "2"]
    expect(page.locator(".data .shown")).to_have_text("10,000 of 10,000 rows")
    head(page, "n").click()
    expect(page.locator(".cells th").first).to_have_attribute("aria-sort", "descending")
    assert values(page, 1)[:3] == ["9999", "9998", "9997"]
    assert page.locator(".cells tbody tr").count() < 150
    box = page.locator(".data .grid-box")
    box.evaluate("one => { one.scrollTop = one.scrollHeight }")
    expect(page.locator(".cells tbody tr").last.locator("td").first).to_have_text("0")
    drawn = box.evaluate(
        """async (one) => {
          const drawn = [];
          for (let at = 0; at < 40; at++) {
            one.scrollTop = at * 6500;
            await new Promise(requestAnimationFrame);
            await new Promise(requestAnimationFrame);
            drawn.push(one.querySelectorAll(".cells tbody tr").length);
          }
          return drawn;
        }"""
    )
    assert max(drawn) < 150  # what a scroll costs does not grow with the rows
    page.get_by_role("searchbox", name="Filter rows").fill("ROW 999")
    expect(page.locator(".data .shown")).to_have_text("11 of 10,000 rows")
    assert len(values(page, 1)) == 11
    page.get_by_role("searchbox", name="Filter rows").fill("nowhere")
    expect(page.locator(".data .shown")).to_have_text("No row matches.")
    check(page, "grid")


def test_a_grid_is_used_with_the_keyboard_alone(page: Page, served: Served) -> None:
    fields: list[tuple[str, object]] = [("city", "string"), ("people", "integer")]
    path = run(served, sql(fields, [["Padua", 10], [None, 9], ["Rome", 100]]))
    page.goto(served.url + path.partition("/statements")[0])
    head(page, "city").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".cells tbody tr").first).to_contain_text("9")
    assert values(page, 2) == ["9", "10", "100"]
    wide = page.locator(".cells th").nth(1)
    before = wide.bounding_box()
    page.keyboard.press("Shift+ArrowRight")
    after = wide.bounding_box()
    assert before is not None
    assert after is not None
    assert round(after["width"] - before["width"]) == 20
    page.locator(".data .grid-box").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.locator("td.selected")).to_have_count(4)
    page.keyboard.press("Control+c")
    expect(page.locator("#said")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "\t9\nPadua\t10"
    page.get_by_role("button", name="Chart").press("Enter")
    expect(page.get_by_role("img", name="Bars: city, people")).to_be_visible()
    expect(page.locator(".chart rect")).to_have_count(3)
    check(page, "chart")
    page.get_by_label("Kind of chart").select_option("Points")
    expect(page.locator(".chart circle")).to_have_count(3)
    page.get_by_label("Across").select_option("people")
    expect(page.get_by_role("img", name="Points: people, people")).to_be_visible()
    page.get_by_role("button", name="Table", exact=True).press("Enter")
    expect(page.locator(".cells")).to_be_visible()


def test_a_line_is_drawn_of_times(page: Page, served: Served) -> None:
    fields: list[tuple[str, object]] = [("v", "double"), ("at", "timestamp")]
    rows: list[list[object]] = [[n % 7, f"2022-01-{n % 28 + 1:02} 00:00:00"] for n in range(400)]
    path = run(served, sql(fields, rows))
    page.goto(served.url + path.partition("/statements")[0])
    page.get_by_role("button", name="Chart").click()
    expect(page.get_by_role("img", name="Line: at, v")).to_be_visible()
    points = page.locator(".chart polyline").get_attribute("points")
    assert points is not None
    assert len(points.split()) == 400  # all rows, not only the first 200
    across = [float(one.split(",")[0]) for one in points.split()]
    assert across == sorted(across)


def test_a_large_result_shows_its_rows_at_once(page: Page, served: Served) -> None:
    session = served.site.session()
    data = sql([("word", "string")], [["w" * 90] for _ in range(2_000)])
    number = served.site.run(
        session, "select", kind="sql", ending=Ending(ok=True, data_elsewhere=True)
    )
    served.site.store_data(session, number, json_bytes(data))
    page.goto(served.url + activity(session))
    expect(page.locator(".data .shown")).to_have_text("200 of 2,000 rows")
    expect(page.get_by_role("link", name="CSV")).to_be_visible()
    head(page, "word").click()
    expect(page.locator(".data .shown")).to_have_text("2,000 of 2,000 rows")


def test_rows_of_display_are_a_grid_without_their_text(page: Page, served: Served) -> None:
    session = served.site.session()
    served.site.run(
        session,
        "print('by hand'); display(df)",
        text="by hand\n+-----+\n| city|\n+-----+\n|Padua|\n|A < B|\n+-----+\n\n",
        ending=Ending(ok=True, data=json_bytes({"text/html": SPARK.format(ROWS, "")})),
    )
    page.goto(served.url + activity(session))
    assert values(page, 1) == ["Padua", "A < B"]
    expect(page.locator("iframe")).to_have_count(0)
    page.locator("summary", has_text="Text, 1 line").click()
    expect(page.locator("#s0 pre.text")).to_have_text("by hand")


def test_previews_of_tables_and_files_are_grids(
    windows: Windows, served: Served, lakehouse: Path, look: Look
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Rome", "Bari"], "x": ["<b>", "1"]})
    (lakehouse / "Files" / "a.csv").write_text("n,at,word\n10,2022-01-01,b\n9,2022-01-02,a\n")
    workspace, place = served.site.world.place
    base = f"{served.url}/workspaces/{workspace}/lakehouses/{place}"
    page = windows.open(replace(look, language="en"))
    page.goto(f"{base}/tables/cities")
    head(page, "city").click()
    expect(page.locator(".cells tbody tr").first).to_contain_text("Bari")
    check(page, f"table {look}")
    page.goto(f"{base}/files?path=a.csv")
    assert [one.get_attribute("data-kind") for one in page.locator(".cells th").all()] == [
        "number",
        "time",
        "text",
    ]
    head(page, "n").click()
    expect(page.locator(".cells tbody tr").first).to_contain_text("9")
    page.get_by_role("button", name="Chart").click()
    expect(page.get_by_role("img", name="Line: at, n")).to_be_visible()
    check(page, f"file {look}")
    assert fits(page)


def test_a_statement_without_rows_says_so(page: Page, served: Served) -> None:
    path = run(served, sql([], []))
    page.goto(served.url + path.partition("/statements")[0])
    expect(page.locator("#s0 .output")).to_have_text("Done. There are no rows to show.")
