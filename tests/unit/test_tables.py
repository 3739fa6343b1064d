"""Every table over an enumeration has a row for each of its members, or says why it need not."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from enum import Enum
from types import ModuleType
from typing import Final

import pytest

import livius
from livius.domain.errors import LiviusError

PARTIAL: Final = {
    ("livius.api.fabric.high_concurrency", "Phase"): "before its end a session has no word here",
    ("livius.api.fabric.states", "Phase"): "STOPPED depends on the cause and has a function",
    ("livius.domain.session", "Event"): "that a driver is warm is nothing to a session",
    ("livius.domain.session", "Phase"): "the final phases lead nowhere",
    ("livius.domain.statement", "Phase"): "ditto",
}
"""Tables that leave members out on purpose."""


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(livius.__path__, "livius."):
        # Alembic loads migrations by their paths; the sample is a program; main runs.
        if not any(part in found.name for part in (".migrations", ".sample", "__main__")):
            yield importlib.import_module(found.name)


def tables(node: ast.AST) -> Iterator[ast.Dict]:
    """Each dictionary that is not a row of another one: a row may well be short."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Dict) and len(child.keys) > 1:
            yield child
        else:
            yield from tables(child)


def enumeration(module: ModuleType, table: ast.Dict) -> tuple[type[Enum], set[str]] | None:
    """The enumeration that all keys are members of, with their names."""
    names = set()
    owners = set()
    for key in table.keys:
        if not isinstance(key, ast.Attribute) or not isinstance(key.value, ast.Name):
            return None
        owners.add(getattr(module, key.value.id, None))
        names.add(key.attr)
    owner = owners.pop()
    if owners or not (inspect.isclass(owner) and issubclass(owner, Enum)):
        return None
    return owner, names


def all_tables() -> Iterator[tuple[str, type[Enum], set[str]]]:
    for module in modules():
        for table in tables(ast.parse(inspect.getsource(module))):
            if (found := enumeration(module, table)) is not None:
                yield module.__name__, *found


FOUND: Final = list(all_tables())


@pytest.mark.parametrize(
    ("module", "owner", "names"), FOUND, ids=[f"{one[0]}-{one[1].__name__}" for one in FOUND]
)
def test_a_table_over_an_enumeration_is_complete(
    module: str, owner: type[Enum], names: set[str]
) -> None:
    if (module, owner.__name__) not in PARTIAL:
        assert names == set(owner.__members__)


def test_what_may_be_partial_is_there() -> None:
    assert set(PARTIAL) <= {(module, owner.__name__) for module, owner, _names in FOUND}


@pytest.mark.parametrize("place", ["livius.api.errors", "livius.portal.pages_base"])
def test_each_kind_of_error_has_a_status(place: str) -> None:
    table = importlib.import_module(place)._STATUS
    assert all(set(kind.__mro__) & set(table) for kind in LiviusError.__subclasses__())
