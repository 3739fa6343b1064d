"""Rows as pages show them: columns with their kinds, and cells as text.

The rows of SQL, of ``%table``, of ``display()`` and of pandas, of tables' and files' previews.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final, Literal

ColumnKind = Literal["number", "time", "flag", "nested", "text"]
SHOWN_ROWS: Final = 200
"""The rows that a page has at first."""
MOST_ROWS: Final = 10_000
"""The most rows that a page shows."""
LONGEST_CELL: Final = 2_000
_MOST_COLUMNS: Final = 100
_LARGEST_HTML: Final = 4 * 1024 * 1024
_GUESSED_ROWS: Final = 200
_TABLE: Final = "application/vnd.livy.table.v1+json"
_NUMBERS: Final = re.compile(
    r"(tiny|small|big)?int|byte|short|integer|long|float|double|decimal.*|number", re.IGNORECASE
)
_TIMES: Final = re.compile(r"date|time|timestamp.*", re.IGNORECASE)
_NESTED: Final = re.compile(r"(struct|array|map|variant).*", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[-+]\d\d:?\d\d)?)?")
_MISSING: Final = frozenset({"", "null", "NULL", "None", "NaN", "NaT", "<NA>", "nan"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its kind, and the name of its type; empty: it is guessed."""

    name: str
    kind: ColumnKind = "text"
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The first rows. ``total`` counts all that there are, ``is_cut``: the source had even more."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str | None]]
    total: int
    is_cut: bool = False

    @property
    def names(self) -> list[str]:
        """Return the columns' names."""
        return [one.name for one in self.columns]


def grids_of(
    data: Mapping[str, Any], *, most: int = SHOWN_ROWS, longest: int | None = LONGEST_CELL
) -> Sequence[Grid]:
    """Return the rows in a statement's data, up to ``most`` of each table.

    HTML counts if it is tables of text and nothing else, as ``display()`` and pandas write it.
    """
    found = [_json_grid(data.get(mime), most, longest) for mime in ("application/json", _TABLE)]
    html = data.get("text/html")
    of_html = _html_grids(html, most, longest) if isinstance(html, str) else []
    return [*(one for one in found if one is not None), *of_html]


def is_table(html: str) -> bool:
    """Tell whether HTML is shown as grids."""
    return bool(_html_grids(html, 0, None))


def column(name: str, type_name: str) -> Column:
    """Return a column of a known type."""
    plain = type_name.removesuffix("_TYPE").lower()
    kind: ColumnKind = "text"
    if _NUMBERS.fullmatch(plain):
        kind = "number"
    elif _TIMES.fullmatch(plain):
        kind = "time"
    elif plain in ("boolean", "bool"):
        kind = "flag"
    elif _NESTED.fullmatch(plain):
        kind = "nested"
    return Column(name, kind, plain[:LONGEST_CELL])


def guessed(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> Sequence[Column]:
    """Return columns whose kinds are guessed from the first values."""
    return [
        Column(name, _guess([row[at] for row in rows[:_GUESSED_ROWS] if at < len(row)]))
        for at, name in enumerate(names)
    ]


def as_csv(grid: Grid) -> bytes:
    """Return the rows as CSV; null is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(grid.names)
    writer.writerows(["" if cell is None else cell for cell in row] for row in grid.rows)
    return text.getvalue().encode("utf-8", "replace")


def _guess(values: Sequence[str | None]) -> ColumnKind:
    present = [one for one in values if one is not None and one.strip() not in _MISSING]
    if present and all(map(_NUMBER.fullmatch, present)):
        return "number"
    return "time" if present and all(map(_TIME.fullmatch, present)) else "text"


def _json_grid(value: Any, most: int, longest: int | None) -> Grid | None:
    """Read the output of SQL (a schema with fields, and rows) or of ``%table`` (headers)."""
    if not isinstance(value, Mapping) or not isinstance(value.get("data"), list):
        return None
    schema = value.get("schema")
    heads = schema.get("fields") if isinstance(schema, Mapping) else value.get("headers")
    if not isinstance(heads, list):
        return None
    rows = [row[:_MOST_COLUMNS] for row in value["data"][:most] if isinstance(row, list)]
    return Grid(
        columns=[_column(one) for one in heads[:_MOST_COLUMNS]],
        rows=[[_cell(one, longest) for one in row] for row in rows],
        total=len(value["data"]),
        is_cut=value.get("truncated") is True,
    )


def _column(head: Any) -> Column:
    if not isinstance(head, Mapping):
        return Column(str(head))
    kind = head.get("type", "")
    name = kind if isinstance(kind, str) else str(kind.get("type", "")) if kind else ""
    return column(str(head.get("name", "")), name)


def _cell(value: Any, longest: int | None) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if longest is None or len(text) <= longest else f"{text[:longest]}…"


def _html_grids(html: str, most: int, longest: int | None) -> Sequence[Grid]:
    if len(html) > _LARGEST_HTML or "<table" not in html:
        return []
    reader = _Tables()
    reader.feed(html)
    reader.close()
    if reader.is_other:
        return []
    is_cut = "only showing top" in html
    return [_html_grid(table, most, longest, is_cut=is_cut) for table in reader.tables]


def _html_grid(
    rows: Sequence[Sequence[str]], most: int, longest: int | None, *, is_cut: bool
) -> Grid:
    names, body = rows[0][:_MOST_COLUMNS], rows[1:]
    shown = [[_cell(one, longest) for one in row[:_MOST_COLUMNS]] for row in body[:most]]
    columns = guessed(names, [list(row) for row in body[:_GUESSED_ROWS]])
    return Grid(columns=columns, rows=shown, total=len(body), is_cut=is_cut)


@dataclass
class _Tables(HTMLParser):
    """Collects tables of plain text. ``is_other``: there is something else as well."""

    tables: list[list[list[str]]] = field(default_factory=list)
    is_other: bool = False
    _within: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within.append(tag)
        names = {name for name, _ in attrs}
        if tag not in _PLAIN_TAGS or names & {"colspan", "rowspan", "hidden"}:
            self.is_other = True
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if not self._within or self._within.pop() != tag:
            self.is_other = True

    def handle_data(self, data: str) -> None:
        inner = self._within[-1] if self._within else ""
        if inner in ("td", "th") and self.tables and self.tables[-1] and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data
        elif data.strip() and inner not in ("style", "p") and not _NOTE.fullmatch(data):
            self.is_other = True

    def close(self) -> None:
        super().close()
        even = all(len({len(row) for row in rows}) == 1 and rows[0] for rows in self.tables)
        self.is_other = self.is_other or not even or not self.tables or bool(self._within)


_PLAIN_TAGS: Final = frozenset({"table", "thead", "tbody", "tr", "th", "td", "div", "style", "p"})
_NOTE: Final = re.compile(
    r"\s*((only showing top \d+ rows?|cells are cut at \d+ characters)\s*)+", re.IGNORECASE
)
"""What Spark and `livius_agent` write below a table."""
