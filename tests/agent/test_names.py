"""Names that complete a line of Python, without a call of its properties or functions."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any, NoReturn

import pytest

from livius_agent import names as bounds
from livius_agent import wire
from livius_agent.names import MOST, complete


def test_what_is_proposed_is_within_the_bounds_of_the_wire() -> None:
    """The module runs beside user code and imports nothing of ours, so it has bounds of its own."""
    assert (bounds.MOST, bounds.LONGEST_LINE) == (wire.MOST_NAMES, wire.LONGEST_LINE)
    longest = {"n" * bounds._LONGEST_NAME: 1}
    found = tuple(complete("nn", longest))
    assert found == tuple(longest)
    answer = wire.Completed(id=1, names=found)
    assert wire.decode_agent(wire.encode(answer)) == answer


class Reader:
    """What a property returns."""

    def csv(self, path: str) -> Frame:
        """Return a frame."""
        return Frame()

    def _private(self) -> None: ...


class Frame:
    """An object with members of each kind."""

    limit_of_class = 1

    def __init__(self) -> None:
        self.own_thing = {"a key": 1, "b": 2, 3: "c"}

    @property
    def read(self) -> Reader:
        raise AssertionError("a property was run")

    @property
    def unknown(self) -> Any:
        raise AssertionError("a property was run")

    @functools.cached_property
    def cached(self) -> Reader:
        raise AssertionError("a property was run")

    def select(self, *_: object) -> Frame:
        raise AssertionError("a method was run")

    @classmethod
    def make(cls) -> Frame:
        raise AssertionError("a method was run")


class Trap:
    """An object whose every access would be noticed."""

    inner = 1

    def __getattribute__(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} was looked up")

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} was looked up")

    def __dir__(self) -> NoReturn:
        raise AssertionError("its members were listed")

    def __eq__(self, other: object) -> NoReturn:
        raise AssertionError("it was compared")

    __hash__ = None  # type: ignore[assignment]


class Meta(type):
    def __getattribute__(cls, name: str) -> NoReturn:
        raise AssertionError(f"{name} was looked up")


class Metered(metaclass=Meta):
    of_class = 1


class DataFrame:
    """It calls itself pandas'."""

    __module__ = "pandas"

    @property
    def columns(self) -> NoReturn:
        raise AssertionError("its property ran")


class Hidden:
    """Its own attributes can't be read without its property."""

    of_class = 1

    @property
    def __dict__(self) -> NoReturn:  # type: ignore[override]
        raise AssertionError("its property ran")


NAMES: dict[str, Any] = {
    "hidden": Hidden(),
    "frame": Frame(),
    "Frame": Frame,
    "trap": Trap(),
    "Metered": Metered,
    "metered": type.__call__(Metered),
    "holder": types.SimpleNamespace(kind=1),
    "forged": DataFrame(),
    "counts": {"first": 1, "second": 2, "ungültig\n": 3, "\ud800": 4},
    "sys": sys,
    "größe": 1,
    "_hidden": 1,
    "text": "x",
}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("fra", ["frame"]),
        ("x = 1\nprint(frame", ["frame"]),
        ("größ", ["größe"]),
        ("_hid", ["_hidden"]),
        ("isin", ["isinstance"]),
        ("frame.own", ["own_thing"]),
        ("frame.", ["cached", "limit_of_class", "make", "own_thing", "read", "select", "unknown"]),
        ("frame.read.c", ["csv"]),
        ("frame.read.", ["csv"]),
        ("frame.cached.c", ["csv"]),
        ("frame.read.csv('a.b(c').sel", ["select"]),
        ("frame.select(x[1], (2)).select().ow", []),  # of a class, not of an object
        ("Frame().sel", ["select"]),
        ("Frame.make().sel", ["select"]),
        ("Frame.lim", ["limit_of_class"]),
        ("frame.unknown.", []),
        ("frame.nothing.", []),
        ("nothing.", []),
        ("trap.in", ["inner"]),
        ("trap.inner.bit_l", ["bit_length"]),
        ("Metered.of", ["of_class"]),
        ("hidden.of", ["of_class"]),
        ("metered.of", ["of_class"]),
        ("metered.of_class.bit_l", ["bit_length"]),
        ("metered['", []),
        ("forged['", []),
        ("forged.col", ["columns"]),
        ("from sys import ( exec", ["exec_prefix", "executable"]),
        ("from sys import path as where, exec_p", ["exec_prefix"]),
        (f"from sys import {'a, ' * 330}; x.", []),
        (f"from sys import {'a as b, ' * 120}x y ; x.", []),
        ("counts['", ["first", "second"]),
        ('frame.own_thing["a', ["a key"]),
        ("text.upp", ["upper"]),
        ("from sys import exec", ["exec_prefix", "executable"]),
        ("from sys import path, exec_p", ["exec_prefix"]),
        ("import tomll", ["tomllib"]),
        ("import importlib.meta", ["metadata"]),
        ("", []),
        ("1.", []),
        ("'a'.", []),
        (").", []),
        ("frame..", []),
        ("((((", []),
        ("frame.select(((.", []),
        ("x" * 100_000, []),
        ("frame.select(" * 1000, []),
    ],
)
def test_names_for_a_place(code: str, names: list[str]) -> None:
    assert complete(code, NAMES) == names


def test_modules_and_bounds() -> None:
    module = types.ModuleType("many")
    vars(module).update({f"name_{n:05d}": n for n in range(1000)})
    found = complete("many.na", {"many": module})
    assert len(found) == MOST
    assert found[0] == "name_00000"
    assert complete("a.", {"a": types.SimpleNamespace(**{"x" * 5000: 1, "y": 2})}) == ["y"]
