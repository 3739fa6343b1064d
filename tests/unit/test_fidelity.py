"""The fidelity page says how close we are, and each claim has a test that is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "reference" / "fidelity.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE)
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| point")
]


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_each_named_test_exists(file: str, name: str) -> None:
    assert name in names_in(file)


def test_each_point_has_a_verdict_and_a_test() -> None:
    assert len(ROWS) > 50
    for row in ROWS:
        point, verdict, test = row
        assert point
        assert re.match(r"same\b|different: |unknown\b", verdict), row
        assert re.fullmatch(r"`[\w/]+\.py::test_\w+`", test), row


@pytest.mark.parametrize("page", ["README.md", "README.zh-TW.md"])
def test_readme_has_the_number_of_points_in_fifties(page: str) -> None:
    text = (TESTS.parent / page).read_text(encoding="utf-8")
    line = next(
        line for line in text.splitlines() if line.startswith("[") and "fidelity.md" in line
    )
    assert re.findall(r"\d{2,}", line) == [str(len(ROWS) // 50 * 50)]
