"""No page and no message has words that the rules of prose in CONTRIBUTING.md exclude."""

import re
from pathlib import Path

import pytest

from support.catalogue import messages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
CHECKED = [page for page in PAGES if page.name not in ("glossary.md", "CHANGELOG.md")]

_QUOTED = re.compile(r'```.*?```|`[^`]*`|"[^"]*"|\]\([^)]*\)', re.DOTALL)
PHRASES = (
    r"whoever",
    r"(?:of|to|for|by|from|with|says|say|lists|shows) who",
    r"of whom",
    r"what there is",
    r"goe?s? on to (?!the )\w+",
    r"made out (?:to|for)",
    r"(?:lies?|stands?) (?:in|under|there|here|below)",
    r"(?:is|are|was|were) told",
    r"told so",
    r"dialled in",
    r"anew",
    r"no good",
    r"tells nothing",
)


def banned() -> list[str]:
    """What the glossary has in bold in its last column."""
    rows = [
        line.strip("| ").split(" | ") for line in GLOSSARY.splitlines() if line.startswith("| ")
    ]
    return [
        word for row in rows[1:] if len(row) > 2 for word in re.findall(r"\*\*(.+?)\*\*", row[2])
    ]


EXCLUDED = re.compile(
    rf"\b(?:{'|'.join([*PHRASES, *map(re.escape, banned())])})\b"
    r"|(?:^|[.;:] |\| )(?-i:Who)\b(?![^.|]*\?)",
    re.IGNORECASE | re.MULTILINE,
)


def found(text: str) -> list[str]:
    """The excluded words and phrases of a text, without its code, quotations and links."""
    plain = _QUOTED.sub(lambda quoted: "\n" * quoted[0].count("\n"), text)
    return [" ".join(match[0].split()) for match in EXCLUDED.finditer(plain)]


def test_the_glossary_excludes_words() -> None:
    assert len(banned()) > 5


@pytest.mark.parametrize("page", CHECKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_an_excluded_word(page: Path) -> None:
    assert found(page.read_text(encoding="utf-8")) == []


def test_no_text_of_the_portal_and_no_message_has_an_excluded_word() -> None:
    texts = [form for one in messages() for form in ([one] if isinstance(one, str) else one)]
    assert len(texts) > 300
    assert [text for text in texts if found(text)] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Whoever\nis signed in.", ["Whoever"]),
        ("It ends. Who asks is answered.", [". Who"]),
        ("The keys lie in a folder.", ["lie in"]),
        ('Not "whoever", nor `whoever`. The user who signs in. Who may read it?', []),
    ],
)
def test_what_is_found(text: str, words: list[str]) -> None:
    assert found(text) == words
