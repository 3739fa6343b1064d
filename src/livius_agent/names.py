"""Names that complete a line of Python, from the session's live objects.

Attributes are looked up in the dictionaries of objects and classes, never through them. So no
property, method or function of the user's code is called. Of libraries, the columns of pandas'
frames alone are read. Of a property or a call, only the type that it is annotated to return is
known. So a proposal asks no JVM and takes little time.
"""

from __future__ import annotations

import builtins
import functools
import keyword
import re
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from types import (
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    ModuleType,
)
from typing import Any, Final

MOST: Final = 200
LONGEST_LINE: Final = 1000
_LONGEST_NAME: Final = 100
_MOST_SEEN: Final = 20_000
_MODULE: Final = re.compile(r"\s*(?:from|import)\s+((?:\w+\.)*)(\w*)")
_MEMBER: Final = re.compile(
    r"\s*from\s+([\w.]+)\s+import\s+(?:\(\s*)?(?:\w+(?:\s+as\s+\w+)?\s*,\s*)*(\w*)"
)
_KEY: Final = re.compile(r"\[\s*[\"']([^\"'\]]*)$")
_STRING: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_WORD: Final = re.compile(r"(?:[^\W\d]\w*)?$")
_SPARK_FRAMES: Final = (
    "pyspark.sql.dataframe",
    "pyspark.sql.classic.dataframe",
    "pyspark.sql.connect.dataframe",
)
_OPENS: Final = {")": "(", "]": "["}


class _Unknown(Exception):
    """An expression whose value can't be known without running something."""


class _InstanceOf:
    """Stands for a value of which only the class is known."""

    def __init__(self, cls: type) -> None:
        self.cls = cls


def complete(code: str, namespace: Mapping[str, Any]) -> list[str]:
    """Return the names that may stand for the last word of the code, in order."""
    line = code.rpartition("\n")[2][-LONGEST_LINE:]
    try:
        prefix, names = _proposals(line, namespace)
    except _Unknown:
        return []
    found = {
        name
        for name in islice(names, _MOST_SEEN)
        if type(name) is str
        and name.startswith(prefix)
        and len(name) <= _LONGEST_NAME
        and name.isprintable()
    }
    if not prefix.startswith("_"):
        found = {name for name in found if not name.startswith("_")}
    return sorted(found)[:MOST]


def _proposals(line: str, namespace: Mapping[str, Any]) -> tuple[str, Iterable[Any]]:
    if (member := _MEMBER.fullmatch(line)) is not None:
        return member[2], list(_dictionary(sys.modules.get(member[1])))
    if (module := _MODULE.fullmatch(line)) is not None:
        return module[2], _modules(module[1])
    if (key := _KEY.search(line)) is not None:
        return key[1], _keys(_value(line[: key.start()], namespace))
    word = _WORD.search(line)
    prefix = word[0] if word is not None else ""
    before = line[: len(line) - len(prefix)]
    if before.endswith("."):
        return prefix, _attributes(_value(before[:-1], namespace))
    if not prefix:
        raise _Unknown
    return prefix, [*namespace, *vars(builtins), *keyword.kwlist]


def _modules(parent: str) -> Iterable[str]:
    """Return modules below one: of the top, the standard library's and all that are loaded."""
    depth = len(parent)
    loaded = {name[depth:].split(".")[0] for name in list(sys.modules) if name.startswith(parent)}
    return loaded if parent else loaded | sys.stdlib_module_names


def _value(text: str, namespace: Mapping[str, Any]) -> Any:
    """Return the value of a chain of names and calls at the end of a text."""
    steps = list(_steps(_STRING.sub("", text)))
    name, is_called = steps[0]
    if name in namespace:
        value = namespace[name]
    elif name in vars(builtins):
        value = vars(builtins)[name]
    else:
        raise _Unknown
    value = _called(value) if is_called else value
    for name, is_called in steps[1:]:
        value = _attribute(value, name)
        value = _called(value) if is_called else value
    return value


def _steps(text: str) -> Iterable[tuple[str, bool]]:
    """Return the names of a chain such as ``a.b(1).c``, each with whether it is called."""
    steps: list[tuple[str, bool]] = []
    while True:
        is_called = text.endswith(")")
        if is_called:
            text = _without_brackets(text)
        word = _WORD.search(text)
        name = word[0] if word is not None else ""
        if not name:
            raise _Unknown
        steps.insert(0, (name, is_called))
        text = text[: len(text) - len(name)]
        if not text.endswith("."):
            return steps
        text = text[:-1]


def _without_brackets(text: str) -> str:
    """Return a text without the brackets at its end, and what is in them."""
    open_ones: list[str] = []
    for at in reversed(range(len(text))):
        one = text[at]
        if one in _OPENS:
            open_ones.append(_OPENS[one])
        elif open_ones and one == open_ones[-1]:
            open_ones.pop()
            if not open_ones:
                return text[:at]
    raise _Unknown


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute without running a property."""
    is_of_class = _is_stand_in(value) or issubclass(type(value), type)
    own = {} if is_of_class else _dictionary(value)
    if name in own:
        return own[name]
    for cls in _classes(value):
        members = _dictionary(cls)
        if name in members:
            return _member(members[name])
    raise _Unknown


def _member(found: Any) -> Any:
    """Return what a class's member is to an instance, as far as it runs nothing."""
    kind = type(found)
    if kind is staticmethod or kind is classmethod:
        return found.__func__
    if kind is property and found.fget is not None:
        return _returned(found.fget)
    if kind is functools.cached_property:
        return _returned(found.func)
    if kind is FunctionType or issubclass(kind, type) or not _has(kind, "__get__"):
        return found
    raise _Unknown


def _has(kind: type, name: str) -> bool:
    """Tell whether a class has a member, without asking its metaclass."""
    return any(name in _dictionary(cls) for cls in _mro(kind))


def _called(value: Any) -> Any:
    """Return a value of the type that a call returns."""
    if issubclass(type(value), type):
        return _InstanceOf(value)
    return _returned(value)


def _returned(function: Any) -> Any:
    """Return a value of the type that a function is annotated to return."""
    if type(function) is not FunctionType:
        raise _Unknown
    kind = function.__annotations__.get("return")
    if type(kind) is str:
        # PySpark names the public class of a DataFrame so, in modules that import it elsewhere.
        name = kind.strip("\"' ").removeprefix("Optional[").rstrip("]")
        kind = function.__globals__.get(name)
        if kind is None and (sql := sys.modules.get("pyspark.sql")) is not None:
            kind = _dictionary(sql).get(name.removeprefix("Parent"))
    if kind is None or not issubclass(type(kind), type):
        raise _Unknown
    return _InstanceOf(kind)


def _attributes(value: Any) -> Iterable[Any]:
    own = () if _is_stand_in(value) else _dictionary(value)
    names = [*own, *_columns(value)]
    for cls in _classes(value):
        names += list(_dictionary(cls))
    return names


def _keys(value: Any) -> Iterable[Any]:
    """Return the keys of a dictionary, or the columns of a frame."""
    return list(islice(value, _MOST_SEEN)) if type(value) is dict else _columns(value)


def _columns(value: Any) -> Iterable[Any]:
    """Return the columns of a frame of pandas, or of Spark where its schema is known already."""
    if _is_of(value, "pandas"):
        return list(islice(value.columns, _MOST_SEEN))
    if any(_is_of(value, module) for module in _SPARK_FRAMES):
        names = _dictionary(_dictionary(value).get("_schema")).get("names")
        return list(names) if type(names) is list else ()
    return ()


def _is_of(value: Any, module: str) -> bool:
    """Tell whether a value is a frame of a module: of its very class, as a name can be forged."""
    return type(value) is _dictionary(sys.modules.get(module)).get("DataFrame")


def _is_stand_in(value: Any) -> bool:
    """Tell whether a value stands for others of its class."""
    return type(value) is _InstanceOf


def _classes(value: Any) -> tuple[type, ...]:
    """Return the classes in which the attributes of a value are."""
    if _is_stand_in(value):
        cls = value.cls
    elif issubclass(type(value), type):
        cls = value
    elif issubclass(type(value), ModuleType):
        return ()
    else:
        cls = type(value)
    return _mro(cls)


def _is_one(kind: type, of: tuple[type, ...]) -> bool:
    """Tell whether a class is one of some, without its metaclass's comparison."""
    return any(kind is one for one in of)


def _mro(cls: type) -> tuple[type, ...]:
    found: tuple[type, ...] = type.__dict__["__mro__"].__get__(cls)
    return found


def _dictionary(value: Any) -> Mapping[str, Any]:
    """Return the attributes that a value itself has."""
    if issubclass(type(value), type):
        found = type.__dict__["__dict__"].__get__(value)
    else:
        # A class may have a property of that name, which would run.
        owners = (one for one in _mro(type(value)) if "__dict__" in _dictionary(one))
        descriptor = next((_dictionary(one)["__dict__"] for one in owners), None)
        if descriptor is None or not _is_one(
            type(descriptor), (GetSetDescriptorType, MemberDescriptorType)
        ):
            return {}
        found = descriptor.__get__(value)
    return found if _is_one(type(found), (dict, MappingProxyType)) else {}
