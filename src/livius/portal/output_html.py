"""Makes the output of user code safe and readable for pages.

Output is untrusted: text is escaped, escape sequences become classes or are removed, images are
data, HTML goes into a frame of its own, and long output is cut until the user opens it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer, ScalaLexer, SLexer, SqlLexer
from rich.ansi import AnsiDecoder
from rich.color import ColorSystem
from rich.style import Style

from livius.domain.statement import Kind

_LEXERS: Final = {
    Kind.PYSPARK: PythonLexer(stripnl=False, ensurenl=False),
    Kind.SPARK: ScalaLexer(stripnl=False, ensurenl=False),
    Kind.SQL: SqlLexer(stripnl=False, ensurenl=False),
    Kind.SPARKR: SLexer(stripnl=False, ensurenl=False),
}
_FORMATTER: Final[HtmlFormatter[str]] = HtmlFormatter(nowrap=True, classprefix="t")
_LONGEST_CODE: Final = 50_000
"""Characters. Longer code is shown without colours, which would take too long."""
_MOST_ROWS: Final = 200
_MOST_COLUMNS: Final = 100
_LONGEST_CELL: Final = 2_000
_COLOURS: Final = 8
_IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")
_TABLE: Final = "application/vnd.livy.table.v1+json"
_SHOWN_OTHERWISE: Final = frozenset(
    {"text/plain", "text/html", "application/json", _TABLE, *_IMAGES}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of a result. ``total`` is how many there are, ``rows`` those that are shown."""

    names: Sequence[str]
    rows: Sequence[Sequence[str | None]]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rich:
    """The rich outputs of a statement; ``others`` are types without a display of their own."""

    tables: Sequence[Table]
    images: Sequence[str]
    json: str | None
    has_html: bool
    others: Sequence[str]

    def __bool__(self) -> bool:
        """Tell whether there is any output."""
        return bool(self.tables or self.images or self.json or self.has_html or self.others)


@lru_cache(maxsize=512)
def code_html(code: str, kind: Kind) -> Markup:
    """Return code with its colours."""
    if len(code) > _LONGEST_CODE:
        return escape(code)
    return Markup(highlight(code, _LEXERS[kind], _FORMATTER).removesuffix("\n"))  # noqa: S704 # Pygments escapes


def ansi_html(text: str) -> Markup:
    """Return printed text: colours as classes, other escape sequences left out."""
    if "\x1b" not in text:
        return escape(_printable(text))
    lines: list[Markup] = []
    for line in AnsiDecoder().decode(text):
        plain, parts, at = line.plain, [], 0
        for span in line.spans:
            parts.append(escape(_printable(plain[at : span.start])))
            style = span.style if isinstance(span.style, Style) else Style.null()
            inner = escape(_printable(plain[span.start : span.end]))
            names = " ".join(_classes(style))
            parts.append(
                Markup('<span class="{}">{}</span>').format(names, inner) if names else inner
            )
            at = span.end
        parts.append(escape(_printable(plain[at:])))
        lines.append(Markup("").join(parts))
    return Markup("\n").join(lines)


def _printable(text: str) -> str:
    """Remove control characters; text that a carriage return overwrites gets its own line."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.translate(_CONTROLS)


# Control characters except tab and newline, and those that would change the direction of text.
_CONTROLS: Final[Mapping[int, None]] = dict.fromkeys(
    (*range(9), 11, 12, *range(14, 32), 127, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
)


def _classes(style: Style) -> Sequence[str]:
    names = []
    for letter, color in (("a", style.color), ("b", style.bgcolor)):
        if color is not None and not color.is_default:
            number = color.downgrade(ColorSystem.STANDARD).number
            if number is not None:
                names.append(f"{letter}{number % _COLOURS}")
    names += [
        name
        for name, on in (
            ("ab", style.bold),
            ("ai", style.italic),
            ("au", style.underline),
            ("as", style.strike),
        )
        if on
    ]
    return names


def rich(data: Mapping[str, Any] | None) -> Rich:
    """Return the outputs other than the text."""
    found = data or {}
    tables = [
        table
        for table in (_sql_table(found.get("application/json")), _livy_table(found.get(_TABLE)))
        if table
    ]
    as_json = None
    if "application/json" in found and not (tables and _sql_table(found["application/json"])):
        as_json = json.dumps(found["application/json"], indent=2, ensure_ascii=False)[
            :_LONGEST_CODE
        ]
    return Rich(
        tables=tables,
        images=[url for kind in _IMAGES if (url := _image(kind, found.get(kind)))],
        json=as_json,
        has_html=isinstance(found.get("text/html"), str),
        others=sorted(str(name) for name in found if name not in _SHOWN_OTHERWISE),
    )


def _image(kind: str, value: Any) -> str | None:
    """Return an image as a data URL; None if it is no image."""
    if not isinstance(value, str):
        return None
    if kind == "image/svg+xml":
        # As an image it runs no scripts and loads nothing.
        return f"data:{kind};base64,{base64.b64encode(value.encode('utf-8', 'replace')).decode()}"
    try:
        raw = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return f"data:{kind};base64,{base64.b64encode(raw).decode()}"


def _sql_table(value: Any) -> Table | None:
    """Read the output of SQL statements: a schema with fields, and rows."""
    if not isinstance(value, Mapping) or not isinstance(value.get("data"), list):
        return None
    schema = value.get("schema")
    fields = schema.get("fields") if isinstance(schema, Mapping) else None
    if not isinstance(fields, list):
        return None
    return _table([_name(field) for field in fields], value["data"])


def _livy_table(value: Any) -> Table | None:
    """Read the output of ``%table``: headers with names, and rows."""
    if not isinstance(value, Mapping) or not isinstance(value.get("data"), list):
        return None
    headers = value.get("headers")
    if not isinstance(headers, list):
        return None
    return _table([_name(header) for header in headers], value["data"])


def _name(field: Any) -> str:
    return str(field.get("name", "")) if isinstance(field, Mapping) else str(field)


def _table(names: Sequence[str], data: Sequence[Any]) -> Table:
    rows = [
        [_cell(value) for value in row[:_MOST_COLUMNS]]
        for row in data[:_MOST_ROWS]
        if isinstance(row, list)
    ]
    return Table(names=names[:_MOST_COLUMNS], rows=rows, total=len(data))


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
