"""The recipes of runtimes: locks, Java, Python, and the Scala sources of the driver jar.

All of it is the package's data, so that an installed wheel can build a runtime.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from livius.installation.progress import SetupFailed

_JARS: Final = "jars.json"
_FULL_JARS: Final = "jars-full.json"
LOCK: Final = "requirements.txt"
FULL_LOCK: Final = "requirements-full.txt"
"""Further packages: the most used ones of Fabric's list."""
_RESOURCES: Final = ("package-derby.orm", "scalac-plugin.xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The recipe of one runtime. ``java`` are the versions that run it.

    ``python`` is the version that uv looks for; None: any that Livius runs on.
    """

    name: str
    java: tuple[int, ...]
    python: str | None

    def file(self, name: str) -> Any:
        """Return a file of the recipe."""
        return _folder() / self.name / name

    def jars(self, *, full: bool = False) -> Sequence[dict[str, str]]:
        """Return the jars beside PySpark's own: where they are from, and their hashes."""
        found: list[dict[str, str]] = []
        for name in (_JARS, *((_FULL_JARS,) if full else ())):
            found += json.loads(self.file(name).read_text(encoding="utf-8"))
        return found

    def asked(self, lock: str = LOCK) -> Sequence[str]:
        """Return the packages that a lock was made for, without those that they need."""
        text = self.file(f"{lock.removesuffix('.txt')}.in").read_text(encoding="utf-8")
        return sorted(re.split("[=<>]", line)[0] for line in text.split())

    def pinned(self, lock: str = LOCK) -> dict[str, str]:
        """Return the version of each locked package."""
        text = self.file(lock).read_text(encoding="utf-8")
        lines = (line.split(" ")[0] for line in text.splitlines() if line[:1].isalpha())
        return dict(line.split("==") for line in lines)

    def versions(self) -> dict[str, str]:
        """Return the versions by which a runtime is known."""
        pinned = self.pinned()
        return {"spark": pinned["pyspark"], "delta": pinned["delta-spark"]}

    def scala(self) -> str:
        """Return Scala's version, as the jars' names have it."""
        [spark] = (jar["name"] for jar in self.jars() if jar["name"].startswith("delta-spark_"))
        return spark.rpartition("_")[2]

    def lock_digest(self) -> str:
        """Return a digest of all that is downloaded."""
        return self._digest(LOCK, _JARS)

    def full_digest(self) -> str:
        """Return a digest of what is downloaded beyond that for a full runtime."""
        return self._digest(FULL_LOCK, _FULL_JARS)

    def _digest(self, *parts: str) -> str:
        digest = hashlib.sha256()
        for part in parts:
            digest.update(self.file(part).read_bytes())
        return digest.hexdigest()

    def sources(self) -> Sequence[Any]:
        """Return the Scala sources of the driver jar: the common ones, and those of this Spark."""
        common = files("livius_agent") / "scala"
        spark = ".".join(self.versions()["spark"].split(".")[:2])
        return [
            one
            for folder in (common, common / f"spark-{spark}")
            for one in sorted(folder.iterdir(), key=lambda one: one.name)
            if one.name.endswith(".scala")
        ]

    def resources(self) -> Sequence[Any]:
        """Return the driver jar's files other than classes."""
        return [files("livius_agent") / "scala" / name for name in _RESOURCES]

    def sources_digest(self) -> str:
        """Return a digest of all that the driver jar is made of."""
        digest = hashlib.sha256()
        for source in (*self.sources(), *self.resources()):
            digest.update(source.read_bytes())
        return digest.hexdigest()


def _folder() -> Any:
    return files("livius") / "runtimes"


def recipe_names() -> tuple[str, ...]:
    """Return the names of the runtimes that this version can build."""
    return tuple(sorted(one.name for one in _folder().iterdir() if one.is_dir()))


def recipe(name: str) -> Recipe:
    """Return the recipe of a runtime.

    Raises:
        SetupFailed: there is none of this name.
    """
    if name not in recipe_names():
        raise SetupFailed(
            f"There is no runtime {name}. Correct the name, or LIVIUS_DEFAULT_RUNTIME: this "
            f"version has {', '.join(recipe_names())}."
        )
    said = json.loads((_folder() / name / "runtime.json").read_text(encoding="utf-8"))
    return Recipe(name=name, java=tuple(said["java"]), python=said["python"])
