"""The texts of the pages for people, as their templates and code have them.

``Message`` marks those of the whole program: what the core refuses is said on pages too.
"""

from pathlib import Path
from typing import Any

from babel.messages.extract import extract_from_dir

LIVIUS = Path(__file__).parents[2] / "src" / "livius"
WORDS = {"_": None, "N_": None, "tr": None, "gettext": None, "ngettext": (1, 2), "ntr": (1, 2)}
SENTENCES = {"Message": None}

Message = str | tuple[str, str]
"""A text, or its two forms for one and for many."""


def messages() -> list[Message]:
    """Every key of the catalogue, in order."""
    found: list[Any] = []
    for folder, keywords in (
        (LIVIUS / "portal", WORDS),
        (LIVIUS / "api" / "authority", WORDS),
        (LIVIUS, SENTENCES),
    ):
        found += extract_from_dir(
            folder,
            method_map=[("**.py", "python"), ("**.html", "jinja2.ext:babel_extract")],
            options_map={"**.html": {"trimmed": "true", "silent": "false"}},
            keywords=keywords,
        )
    return sorted({text for _file, _line, text, _comments, _context in found}, key=str)
