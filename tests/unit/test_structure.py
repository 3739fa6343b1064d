"""Rules of the structure that no linter holds."""

import ast
from pathlib import Path

import livius

SOURCES = Path(livius.__file__).parent


def test_records_and_outputs_are_reached_through_use_cases_alone() -> None:
    found = [
        f"{path.relative_to(SOURCES)}:{node.lineno}"
        for folder in ("api", "portal")
        for path in sorted((SOURCES / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("store", "outputs")
        and isinstance(node.value, ast.Attribute | ast.Name)
        and (node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id)
        == "context"
    ]
    assert found == []
