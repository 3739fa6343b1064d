"""The documentation says what the code says, and its links lead somewhere."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from support.documents import blocks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
TROUBLE = DOCS / "how-to" / "troubleshooting.md"
BACK = DOCS / "how-to" / "from-fabric-and-back.md"
FIDELITY = (DOCS / "reference" / "fidelity.md").read_text(encoding="utf-8")
HOLE = "…"
OF_CLIENTS = ("curl: (60) SSL certificate problem: …", "certificate verify failed")
"""`spark/test_how_to.py` has clients print them."""


@cache
def templates() -> tuple[str, ...]:
    """Every text in the code, with … where a value comes."""
    found = []
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(one, "value", None) for one in node.values)
                found.append("".join(one if isinstance(one, str) else HOLE for one in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%\(\w+\)[sd]|\{\w*\}", HOLE, node.value))
    return tuple(" ".join(one.split()) for one in found)


def messages() -> list[str]:
    lines = [line for block in blocks(TROUBLE, "text") for line in block.code.splitlines()]
    return [line for line in lines if line not in OF_CLIENTS]


@pytest.mark.parametrize("message", messages())
def test_each_message_of_troubleshooting_is_one_of_the_code(message: str) -> None:
    assert any(message.strip(f"{HOLE} ") in one for one in templates())


def test_fabrics_snippets_are_python() -> None:
    snippets = blocks(BACK, "python fabric")
    assert snippets
    for snippet in snippets:
        compile(snippet.code, str(BACK), "exec")


def table_under(heading: str, text: str) -> list[list[str]]:
    section = text.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@pytest.mark.parametrize("row", table_under("What to watch on the way back", BACK.read_text()))
def test_each_point_on_the_way_back_is_a_difference_that_fidelity_names(row: list[str]) -> None:
    assert f"| {row[0]} | different: " in FIDELITY


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_pages_and_headings_that_are_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_both_readmes_have_the_same_blocks_and_links() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh-TW.md"
    for language in ("sh", "text"):
        codes = [
            [re.sub(r" +#.*", "", block.code) for block in blocks(page, language)]
            for page in (english, chinese)
        ]
        assert codes[0] == codes[1]
    links = [
        set(re.findall(r"\]\((docs/[^)]+)\)", page.read_text())) for page in (english, chinese)
    ]
    assert links[0] == links[1]


def test_the_chinese_readme_has_full_width_punctuation() -> None:
    text = (ROOT / "README.zh-TW.md").read_text(encoding="utf-8")
    assert re.findall("[\u4e00-\u9fff][,:;!?]|[,;:!?][\u4e00-\u9fff]|[\uff08\uff09]", text) == []
