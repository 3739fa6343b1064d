"""The languages of the pages for people, from one catalogue.

The texts in templates and code are English and are the catalogue's keys; ``locale/*.po`` has the
translations. They are read once, without a step that compiles them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from gettext import NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import HTTPConnection

from livius.domain.messages import Message

CHOSEN: Final = "livius_language"
"""The cookie with the language that a person chose."""

LOCALE: Final = Path(__file__).parent / "locale"


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its tag for browsers, its own name, the file of its translations."""

    tag: str
    name: str
    catalogue: str | None = None


ENGLISH: Final = Language("en", "English")
TRADITIONAL_CHINESE: Final = Language("zh-TW", "繁體中文", "zh_TW")
LANGUAGES: Final = (ENGLISH, TRADITIONAL_CHINESE)

_RANGE: Final = re.compile(
    r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*"  # a tag
    r"(?:;\s*q\s*=\s*([0-9.]{1,5}))?"  # how much it is liked
)
_MOST_RANGES: Final = 20


def named(tag: str | None) -> Language | None:
    """Return the language with this tag, if there is one."""
    return next((one for one in LANGUAGES if one.tag == tag), None)


def accepted(header: str) -> Language:
    """Return the language that a browser likes best, by its ``Accept-Language``.

    For any Chinese it returns the available Chinese rather than English.
    """
    ranges: list[tuple[float, str]] = []
    for part in header.split(",")[:_MOST_RANGES]:
        found = _RANGE.fullmatch(part.rstrip())
        if found is not None:
            ranges.append((_quality(found[2]), found[1].lower()))
    # Stable: of equals, the first.
    for quality, tag in sorted(ranges, key=lambda one: -one[0]):
        if quality <= 0:
            break
        if tag.startswith("zh"):
            return TRADITIONAL_CHINESE
        if tag.startswith("en") or tag == "*":
            return ENGLISH
    return ENGLISH


def language_of(request: HTTPConnection) -> Language:
    """Return the language of the response: the chosen one, else the browser's preferred one."""
    chosen = named(request.cookies.get(CHOSEN))
    return chosen or accepted(request.headers.get("accept-language", ""))


def _quality(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0


@cache
def translations(language: Language) -> NullTranslations:
    """Return the translations of a language."""
    if language.catalogue is None:
        return NullTranslations()
    compiled = BytesIO()
    with (LOCALE / f"{language.catalogue}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language.catalogue))
    compiled.seek(0)
    return Translations(compiled)


def said(text: str, language: Language) -> str:
    """Return the translation of a sentence. A text that isn't in the catalogue stays."""
    if not isinstance(text, Message):
        return text
    words = translations(language).gettext(text.template)
    values = {
        name: said(value, language) if isinstance(value, str) else value
        for name, value in text.values.items()
    }
    return words % values if values else words


def templates(folder: Path, language: Language) -> Environment:
    """Return a folder's templates, whose texts are in a language and whose values are escaped."""
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined] # the extension's
    made.globals["language"] = language
    return made
