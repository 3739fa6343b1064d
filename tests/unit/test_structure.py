"""Rules of the structure that no linter holds."""

import ast
from pathlib import Path

import livius

SOURCES = Path(livius.__file__).parent
LONGEST = 60


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


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring and without the functions inside it."""
    lines = set(range(function.lineno, end(function) + 1))
    if ast.get_docstring(function) is not None:
        lines -= set(range(function.body[0].lineno, end(function.body[0]) + 1))
    for inner in ast.walk(function):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner is not function:
            lines -= set(range(inner.lineno, end(inner) + 1))
    return len(lines)


def end(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno


def test_no_function_is_longer_than_sixty_lines() -> None:
    found = [
        f"{path.relative_to(SOURCES.parent)}:{node.lineno} {node.name} {own_lines(node)}"
        for package in ("livius", "livius_agent")
        for path in sorted((SOURCES.parent / package).rglob("*.py"))
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and own_lines(node) > LONGEST
    ]
    assert found == []
