"""Lists of Python packages as people write them: environment.yml and requirements.txt.

Packages are named, never addressed: a URL, a path or an option would have the server read what the
caller can't, or install from where the operator doesn't. A wheel of one's own is uploaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from livius.domain.environment import MOST_LIBRARIES, Library
from livius.domain.errors import Invalid
from livius.domain.messages import Message

_NOT_OF_CONDA: Final = frozenset({"python", "pip"})
"""Of conda's packages, those that each runtime has."""
_CONDA_NAME: Final = re.compile(r"[A-Za-z0-9._:-]+")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*$")
_FIELD: Final = "body"


def parse_libraries(text: str) -> Sequence[Library]:
    """Return the libraries in the text of an environment.yml or a requirements.txt.

    Raises:
        Invalid: the message names the line and the remedy.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        document = None  # a requirements.txt may be no YAML
    if isinstance(document, dict):
        return _libraries(_of_pip(document))
    lines = (_COMMENT.sub("", line).strip() for line in text.splitlines())
    return _libraries(line for line in lines if line)


def as_environment_yml(libraries: Sequence[Library]) -> str:
    """Return the text of an environment.yml with these libraries."""
    if not libraries:
        return "dependencies: []\n"
    lines = "".join(f"    - {library}\n" for library in libraries)
    return f"dependencies:\n  - pip:\n{lines}"


def _of_pip(document: dict[Any, Any]) -> Iterable[str]:
    """Return the packages that pip is to install."""
    dependencies = document.get("dependencies")
    if not isinstance(dependencies, list):
        raise _invalid(
            Message("environment.yml needs a list `dependencies`, with the packages below `pip`.")
        )
    conda: list[str] = []
    for one in dependencies:
        if isinstance(one, dict) and list(one) == ["pip"] and isinstance(one["pip"], list):
            if not all(isinstance(line, str) for line in one["pip"]):
                raise _invalid(Message("Below `pip`, each package is a text such as polars==1.2."))
            yield from one["pip"]
        elif isinstance(one, str):
            name = _CONDA_NAME.match(one)
            if name is None or name[0].lower() not in _NOT_OF_CONDA:
                conda.append(one[:60])
        elif one is not None:
            raise _invalid(Message("`dependencies` has names of packages, and one list `pip`."))
    if conda:
        raise _invalid(
            Message(
                "Packages of conda can't be installed here: %(names)s. Write them below `pip`, "
                "with the names and versions that they have on the Python package index.",
                names=", ".join(conda[:10]),
            )
        )


def _libraries(lines: Iterable[str]) -> Sequence[Library]:
    # One more tells that there are too many.
    return [_library(line) for line in islice(lines, MOST_LIBRARIES + 1)]


def _library(line: str) -> Library:
    try:
        found = Requirement(line)
    except InvalidRequirement:
        raise _invalid(
            Message(
                "%(line)s is no package that can be installed. Write a name and a version, such "
                "as polars==1.2; options, paths and addresses are not taken.",
                line=repr(line[:100]),
            )
        ) from None
    if found.url is not None:
        raise _invalid(
            Message(
                "%(line)s names an address. Upload the wheel as a custom library instead.",
                line=repr(line[:100]),
            )
        )
    if found.marker is not None and not found.marker.evaluate():
        # It is for another system; the runtimes run on this one.
        raise _invalid(
            Message("%(line)s is for another kind of machine. Leave it out.", line=repr(line[:100]))
        )
    extras = f"[{','.join(sorted(found.extras))}]" if found.extras else ""
    return Library(name=canonicalize_name(found.name) + extras, wanted=str(found.specifier))


def stored_name(name: str) -> str:
    """Return a package's name, with or without extras, as a library has it: in one spelling."""
    plain, bracket, extras = name.partition("[")
    return canonicalize_name(plain) + bracket + extras


def _invalid(message: Message) -> Invalid:
    return Invalid("InvalidLibraries", message, field=_FIELD)
