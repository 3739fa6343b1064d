"""Makes the output of user code safe and readable for pages.

Output is untrusted: text is escaped, escape sequences become classes or are removed, images are
data, HTML goes into a frame of its own, and long output is cut until the user opens it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import PythonLexer, ScalaLexer, SLexer, SqlLexer
from rich.ansi import AnsiDecoder
from rich.color import ColorSystem
from rich.style import Style

from livius.domain.log_lines import Level, Line
from livius.domain.statement import Kind
from livius.portal.grids import Grid, grids_of, is_table

_LEXERS: Final[Mapping[Kind, type[Lexer]]] = {
    Kind.PYSPARK: PythonLexer,
    Kind.SPARK: ScalaLexer,
    Kind.SQL: SqlLexer,
    Kind.SPARKR: SLexer,
}
_FORMATTER: Final[HtmlFormatter[str]] = HtmlFormatter(nowrap=True, classprefix="t")
_LONGEST_CODE: Final = 50_000
"""Characters. Longer code is shown without colours, which would take too long."""
_COLOURS: Final = 8
_IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")
_TABLE: Final = "application/vnd.livy.table.v1+json"
_SHOWN_OTHERWISE: Final = frozenset(
    {"text/plain", "text/html", "application/json", _TABLE, *_IMAGES}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rich:
    """The rich outputs of a statement; ``others`` are types without a display of their own."""

    tables: Sequence[Grid]
    images: Sequence[str]
    json: str | None
    has_html: bool
    others: Sequence[str]

    def __bool__(self) -> bool:
        """Tell whether there is any output."""
        return bool(self.tables or self.images or self.json or self.has_html or self.others)


@cache
def _lexer(kind: Kind) -> Lexer:
    """Return a kind's lexer. Its expressions take a fifth of the gateway's start to compile."""
    return _LEXERS[kind](stripnl=False, ensurenl=False)


@lru_cache(maxsize=512)
def code_html(code: str, kind: Kind) -> Markup:
    """Return code with its colours."""
    if len(code) > _LONGEST_CODE:
        return escape(code)
    return Markup(highlight(code, _lexer(kind), _FORMATTER).removesuffix("\n"))  # noqa: S704 # Pygments escapes


def ansi_html(text: str) -> Markup:
    """Return printed text: colours as classes, other escape sequences left out."""
    return Printer().html(text)


def beside_rich(text: str, *, tables: int) -> str:
    """Return printed text without the text forms of outputs that are shown in a better one.

    Those of figures, and of so many tables, the last ones: a table that code printed by itself, as
    ``show()`` does, has the same form and stays.
    """
    forms = list(_FORMS.finditer(text))
    drawn = [one for one in forms if one[0].startswith("+")]
    kept = drawn[: max(0, len(drawn) - tables)]
    for one in reversed([one for one in forms if one not in kept]):
        text = text[: one.start()] + text[one.end() :]
    return text.strip("\n")


def has_columns(text: str) -> bool:
    """Tell whether text has drawn tables, whose lines must not be wrapped."""
    return _FORMS.search(text) is not None


_FORMS: Final = re.compile(
    r"^(?:\+-[-+]*\+\n(?:\|.*\|\n)+\+-[-+]*\+\n(?:(?:\|.*\|\n)+\+-[-+]*\+\n)?"
    r"(?:only showing top \d+ rows?\n)?\n?|<Figure size \d+x\d+ with \d+ Axes>\n)",
    re.MULTILINE,
)


def log_line(line: Line, needle: str = "") -> Markup:
    """Return a log's line: its level's name stands out, and so does each match of a text."""
    marks = _matches(line.text, needle)
    if not marks and "\x1b" in line.text:
        return ansi_html(line.text)
    if line.word is None or line.level not in _GRAVE:
        return _marked(line.text, marks)
    begin, end = line.word
    name = Markup('<b class="of-{}">{}</b>').format(line.level.value, line.text[begin:end])
    shift = [(first - end, last - end) for first, last in marks if first >= end]
    before = [one for one in marks if one[1] <= begin]
    return _marked(line.text[:begin], before) + name + _marked(line.text[end:], shift)


_GRAVE: Final = (Level.WARN, Level.ERROR)


def _matches(text: str, needle: str) -> list[tuple[int, int]]:
    """Return where a text is in another; the case of ASCII's letters doesn't matter."""
    if not needle:
        return []
    pattern = re.compile(re.escape(needle), re.IGNORECASE | re.ASCII)
    return [found.span() for found in pattern.finditer(text)]


def _marked(text: str, marks: Sequence[tuple[int, int]]) -> Markup:
    parts, at = [], 0
    for begin, end in marks:
        parts += [_printable(text[at:begin]), Markup("<mark>{}</mark>").format(text[begin:end])]
        at = end
    return Markup("").join([*parts, _printable(text[at:])])


class Printer:
    """Makes HTML of text that comes in pieces: colours last from one piece to the next."""

    def __init__(self) -> None:
        self._decoder = AnsiDecoder()
        self._begun = ""

    def html(self, text: str) -> Markup:
        """Return the next piece; what it leaves unfinished of an escape sequence, with the next."""
        text = self._begun + text
        found = _UNFINISHED.search(text)
        self._begun = found[0] if found else ""
        text = text.removesuffix(self._begun).replace("\r\n", "\n").replace("\r", "\n")
        if "\x1b" not in text and self._decoder.style == Style.null():
            return _printable(text)
        return Markup("\n").join(map(self._line, text.split("\n")))

    def _line(self, line: str) -> Markup:
        decoded = self._decoder.decode_line(line)
        parts, at = [], 0
        for span in decoded.spans:
            parts.append(_printable(decoded.plain[at : span.start]))
            style = span.style if isinstance(span.style, Style) else Style.null()
            inner = _printable(decoded.plain[span.start : span.end])
            names = " ".join(_classes(style))
            parts.append(
                Markup('<span class="{}">{}</span>').format(names, inner) if names else inner
            )
            at = span.end
        return Markup("").join([*parts, _printable(decoded.plain[at:])])


def _printable(text: str) -> Markup:
    return escape(text.translate(_CONTROLS))


_UNFINISHED: Final = re.compile(r"(?:\r|\x1b(?:\[[0-9;?]{0,40})?)\Z")
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
    tables = grids_of(found)
    as_json = None
    if "application/json" in found and not grids_of(
        {"application/json": found["application/json"]}
    ):
        as_json = json.dumps(found["application/json"], indent=2, ensure_ascii=False)[
            :_LONGEST_CODE
        ]
    html = found.get("text/html")
    return Rich(
        tables=tables,
        images=[url for kind in _IMAGES if (url := _image(kind, found.get(kind)))],
        json=as_json,
        has_html=isinstance(html, str) and not is_table(html),
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
