"""The reference page of the runtimes: what each contains, beside what Fabric's has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from livius.installation.recipes import FULL_LOCK, LOCK, Recipe, recipe, recipe_names

_PAGE: Final = """\
# Runtimes

A session has one of these runtimes: `LIVIUS_DEFAULT_RUNTIME`, or the one that its conf names in
`spark.livius.runtime`. One gateway serves sessions of all of them at the same time, and one
metastore has all their tables. A gateway builds a runtime when a session first uses it; until then
the session is `not_started`, and its tag `RuntimeBuild` has the step. `livius runtime build NAME`
builds one in advance, and `livius runtime list` lists them. This page is made from the locks; a
test keeps it true.

Fabric's versions are those of the release notes that it publishes for its runtimes ({releases}).
An empty field: Fabric's list does not have the package.

With the font in `noto-cjk-sans-otc`, which comes with `--full`, figures of matplotlib show Chinese,
Japanese and Korean without naming a font, except beside a formula in one text. An environment with
the package, or `%pip install noto-cjk-sans-otc`, does the same for sessions of other runtimes.

{runtimes}

## Tables of both

* Delta tables of one runtime are read and written by the other, as long as the table has no feature
  that the other's Delta does not know. If it has one, the error is
  `DELTA_UNSUPPORTED_FEATURES_FOR_READ` or `…_FOR_WRITE` and names the features: Runtime 1.3 knows
  neither `variantType` nor `typeWidening`, which tables of 2.0 have only if they ask for them.
* Views are texts: one that uses a function of Spark 4 fails in 1.3 when it is read.

## What differs between them

* Spark 4 follows ANSI SQL: `1 / 0`, or a text that is no number in a cast, is an error in 2.0 and
  null in 1.3 (`spark.sql.ansi.enabled`).
* SQL scripts (`BEGIN … END`), variants and geometry are Spark 4's.
* Scala 2.12 prints definitions in its own way: `defined class A`, `f: (n: Int)Int`.
"""
_RUNTIME: Final = """\
## Runtime {name}

| | here | in Fabric |
|---|---|---|
{rows}

{packages}

With `livius runtime build {name} --full`, which also adds the jar of spark-avro:

{more}"""


def runtimes_page() -> str:
    """Return ``docs/reference/runtimes.md``."""
    recipes = [recipe(name) for name in reversed(recipe_names())]
    releases = ", ".join(f"{one.name} of {_fabric(one)['release']}" for one in recipes)
    return _PAGE.format(releases=releases, runtimes="\n\n".join(_section(one) for one in recipes))


def _section(one: Recipe) -> str:
    fabric, versions = _fabric(one), one.versions()
    rows = (
        ("Spark", versions["spark"], fabric["spark"]),
        ("Delta", versions["delta"], fabric["delta"]),
        ("Scala", one.scala(), fabric["scala"]),
        ("Java", " or ".join(map(str, one.java)), fabric["java"]),
        ("Python", one.python or "3.11 or newer", fabric["python"]),
    )
    return _RUNTIME.format(
        name=one.name,
        rows="\n".join(f"| {' | '.join(row)} |" for row in rows),
        packages=_table(one, LOCK, leave_out=("pyspark", "delta-spark")),
        more=_table(one, FULL_LOCK),
    )


def _table(one: Recipe, lock: str, leave_out: Sequence[str] = ()) -> str:
    pinned, fabric = one.pinned(lock), _fabric(one)["packages"]
    names: Iterable[str] = (name for name in one.asked(lock) if name not in leave_out)
    rows = [f"| {name} | {pinned[name]} | {fabric.get(name, '')} |" for name in names]
    return "\n".join(("| package | here | in Fabric |", "|---|---|---|", *rows))


def _fabric(one: Recipe) -> Any:
    return json.loads(one.file("fabric.json").read_text(encoding="utf-8"))
