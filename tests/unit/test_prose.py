"""No page, message, docstring or comment has words that CONTRIBUTING.md excludes."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from support.catalogue import messages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CODE = sorted(
    path
    for folder in ("src", "tests", "bench", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__)
)
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
CHECKED = [page for page in PAGES if page.name != "glossary.md"]

_QUOTED = re.compile(r'```.*?```|`[^`]*`|"[^"]*"|\]\([^)]*\)', re.DOTALL)
PHRASES = (
    r"whoever",
    r"(?:of|to|for|by|from|with|says|say|lists|shows) who",
    r"of whom",
    r"what there is",
    r"goe?s? on to (?!the )\w+",
    r"made out (?:to|for)",
    r"(?:lies?|stands?) (?:in|under|there|here|below)",
    r"(?:is|are|was|were|be|been) told",
    r"told so",
    r"dialled in",
    r"anew",
    r"no good",
    r"tells nothing",
    r"who asks?",
    r"those who",
    r"what (?:is|was|were|are) (?:asked|given|kept|left|said|there|told|wanted)",
    r"(?:is|are|stays?) good",
    r"good (?:for|until)",
    r"past keeping",
    r"in whatever case",
)


def banned() -> list[str]:
    """The words in bold in the last column of the glossary."""
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


def prose(code: str) -> Iterator[str]:
    """The docstrings of a module, with those of attributes, and its comments."""
    for node in ast.walk(ast.parse(code)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value
    comments = [
        (token.start[0], token.string.lstrip("#: "))
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type == tokenize.COMMENT
    ]
    lines = enumerate(comments)
    for _block, parts in groupby(lines, key=lambda numbered: numbered[1][0] - numbered[0]):
        yield " ".join(text for _number, (_line, text) in parts)


def test_the_glossary_excludes_words() -> None:
    assert len(banned()) > 5


@pytest.mark.parametrize("page", CHECKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_an_excluded_word(page: Path) -> None:
    assert found(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("folder", ["src/livius", "src/livius_agent", "tests", "bench", "examples"])
def test_no_docstring_and_no_comment_has_an_excluded_word(folder: str) -> None:
    pieces = [
        (str(path.relative_to(ROOT)), found(text))
        for path in CODE
        if path.is_relative_to(ROOT / folder)
        for text in prose(path.read_text(encoding="utf-8"))
    ]
    assert pieces
    assert [piece for piece in pieces if piece[1]] == []


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


def test_docstrings_and_comments_are_found() -> None:
    code = '"""A module."""\nx = 1  # one\n"""An\nattribute."""\n\n# two\n# three\nprint("four")\n'
    assert sorted(prose(code)) == ["A module.", "An\nattribute.", "one", "two three"]
