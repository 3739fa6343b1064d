"""The names under which programs find a table, a file or a folder of a lakehouse."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from livius.domain.lakehouse import ONELAKE, Lakehouse
from livius.portal.labels import N_

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Spelling:
    """A name, and where it is understood; ``key`` is its id in a page."""

    key: str
    label: str
    text: str


def table_in_sql(lakehouse: Lakehouse, name: str) -> str:
    """Return a table's name as SQL takes it: with its schema, in backquotes where it needs them."""
    parts = lakehouse.table_parts(name)
    return ".".join(
        one if _PLAIN.fullmatch(one) else f"`{one.replace('`', '``')}`" for one in parts
    )


def of_table(lakehouse: Lakehouse, name: str) -> Sequence[Spelling]:
    """Return the spellings of a table."""
    path = ["Tables", *lakehouse.table_parts(name)]
    sql = table_in_sql(lakehouse, name)
    return [Spelling("sql", N_("Name in SQL"), sql), *of_path(lakehouse, path)]


def of_path(lakehouse: Lakehouse, parts: Sequence[str]) -> Sequence[Spelling]:
    """Return the spellings of a path; its first part is ``Tables`` or ``Files``."""
    path = "/".join(parts)
    return [
        Spelling("relative", N_("Relative path for Spark"), path),
        Spelling("mount", N_("File API path"), f"/lakehouse/default/{path}"),
        Spelling(
            "abfss",
            N_("ABFS path"),
            f"abfss://{lakehouse.workspace}@{ONELAKE}/{lakehouse.id}/{path}",
        ),
        Spelling(
            "url",
            N_("OneLake URL"),
            f"https://{ONELAKE}/{lakehouse.workspace}/{lakehouse.id}/{quote(path)}",
        ),
    ]
