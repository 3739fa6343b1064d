"""The versions of a table in sentences, from the operations and metrics in its Delta log.

Spark and the `deltalake` library name the same metrics differently, and either may leave some out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from gettext import NullTranslations
from typing import Any, Final

from livius.domain.contents import Commit
from livius.portal import labels
from livius.portal.labels import N_

_MOST_NAMES: Final = 10


@dataclass(frozen=True, slots=True)
class _Words:
    """A commit, and texts about its numbers in one language."""

    commit: Commit
    translations: NullTranslations

    def say(self, text: str, **values: object) -> str:
        found = self.translations.gettext(text)
        return found % values if values else found

    def number(self, *names: str) -> int | None:
        """Return the first metric that the commit has, of these names."""
        for name in names:
            text = self.commit.metrics.get(name, "")
            if text.isascii() and text.isdecimal():
                return int(text)
        return None

    def rows(self, count: int) -> str:
        return labels.rows(count, self.translations)

    def files(self, count: int) -> str:
        return labels.files(count, self.translations)

    def written(self, bare: str, full: str) -> str:
        """Return the full text, with rows and files, if the metrics have both."""
        rows = self.number("numOutputRows", "num_added_rows")
        files = self.number("numFiles", "numAddedFiles", "num_added_files")
        if rows is None or files is None:
            return self.say(bare)
        return self.say(full, rows=self.rows(rows), files=self.files(files))

    def listed(self, texts: list[str]) -> str:
        return self.say(N_(", ")).join(texts)


def sentence(commit: Commit, translations: NullTranslations) -> str:
    """Return what a commit did; an operation that is not known is named as the log does."""
    words = _Words(commit, translations)
    operation = " ".join(commit.operation.upper().split())
    if operation in _WRITTEN:
        return words.written(*_WRITTEN[operation])
    if operation in _COUNTED:
        return _COUNTED[operation](words)
    plain = _PLAIN.get(operation)
    return words.say(plain) if plain is not None else commit.operation


def _write(words: _Words) -> str:
    mode = words.commit.parameters.get("mode", "").lower()
    return words.written(*_MODES.get(mode, _MODES[""]))


def _merge(words: _Words) -> str:
    counts = [
        (text, words.number(*names))
        for text, *names in (
            (N_("%(count)s inserted"), "numTargetRowsInserted", "num_target_rows_inserted"),
            (N_("%(count)s updated"), "numTargetRowsUpdated", "num_target_rows_updated"),
            (N_("%(count)s deleted"), "numTargetRowsDeleted", "num_target_rows_deleted"),
        )
    ]
    if all(count is None for _text, count in counts):
        return words.say(N_("Merged"))
    changes = [words.say(text, count=f"{count:,}") for text, count in counts if count]
    if not changes:
        return words.say(N_("Merged: no row changed"))
    return words.say(N_("Merged: %(changes)s"), changes=words.listed(changes))


def _update(words: _Words) -> str:
    rows = words.number("numUpdatedRows", "num_updated_rows")
    if rows is None:
        return words.say(N_("Updated rows"))
    return words.say(N_("Updated %(rows)s"), rows=words.rows(rows))


def _delete(words: _Words) -> str:
    rows = words.number("numDeletedRows", "num_deleted_rows")
    if rows is None:
        return words.say(N_("Deleted rows"))
    return words.say(N_("Deleted %(rows)s"), rows=words.rows(rows))


def _optimize(words: _Words) -> str:
    before = words.number("numRemovedFiles", "numFilesRemoved")
    after = words.number("numAddedFiles", "numFilesAdded")
    if before is None or after is None:
        return words.say(N_("Optimized"))
    return words.say(
        N_("Optimized: %(before)s became %(after)s"),
        before=words.files(before),
        after=words.files(after),
    )


def _vacuumed(words: _Words) -> str:
    files = words.number("numDeletedFiles")
    if files is None:
        return words.say(N_("Vacuumed"))
    return words.say(N_("Vacuumed: %(files)s deleted"), files=words.files(files))


def _restore(words: _Words) -> str:
    parameters = words.commit.parameters
    version = parameters.get("version", "")
    if version.isascii() and version.isdecimal():
        return words.say(N_("Restored to version %(version)s"), version=version)
    moment = parameters.get("timestamp") or parameters.get("datetime") or ""
    if moment and moment != "null":
        return words.say(N_("Restored to its state of %(time)s"), time=moment)
    return words.say(N_("Restored to an earlier version"))


def _columns(bare: str, full: str) -> Callable[[_Words], str]:
    def with_names(words: _Words) -> str:
        names = _names(words.commit.parameters)
        return words.say(full, names=words.listed(names)) if names else words.say(bare)

    return with_names


def _names(parameters: Mapping[str, str]) -> list[str]:
    """Return the names of the columns that a change of the schema names."""
    for key in ("columns", "column", "oldColumnPath"):
        if key not in parameters:
            continue
        try:
            found: Any = json.loads(parameters[key])
        except (ValueError, RecursionError):
            found = parameters[key] if key == "oldColumnPath" else None
        all_of_them = found if isinstance(found, list) else [found]
        names = [_name(one) for one in all_of_them[:_MOST_NAMES]]
        return [name for name in names if name]
    return []


def _name(one: Any) -> str:
    """Return a column's name: alone, as an object, or as an object in one."""
    if isinstance(one, dict):
        inner = one.get("column", one)
        one = inner.get("name") if isinstance(inner, dict) else None
    return one if isinstance(one, str) else ""


_MODES: Final[Mapping[str, tuple[str, str]]] = {
    "append": (N_("Appended"), N_("Appended %(rows)s in %(files)s")),
    "overwrite": (N_("Overwritten"), N_("Overwritten with %(rows)s in %(files)s")),
    "": (N_("Written"), N_("Written: %(rows)s in %(files)s")),
}
_WRITTEN: Final[Mapping[str, tuple[str, str]]] = {
    "CREATE TABLE AS SELECT": (
        N_("Created from a query"),
        N_("Created from a query: %(rows)s in %(files)s"),
    ),
    "REPLACE TABLE AS SELECT": (
        N_("Replaced by a query's rows"),
        N_("Replaced by a query's rows: %(rows)s in %(files)s"),
    ),
    "CREATE OR REPLACE TABLE AS SELECT": (
        N_("Replaced by a query's rows"),
        N_("Replaced by a query's rows: %(rows)s in %(files)s"),
    ),
    "STREAMING UPDATE": (
        N_("A stream wrote rows"),
        N_("A stream wrote %(rows)s in %(files)s"),
    ),
    "COPY INTO": (N_("Copied from files"), N_("Copied from files: %(rows)s in %(files)s")),
}
_COUNTED: Final[Mapping[str, Callable[[_Words], str]]] = {
    "WRITE": _write,
    "MERGE": _merge,
    "UPDATE": _update,
    "DELETE": _delete,
    "TRUNCATE": _delete,
    "OPTIMIZE": _optimize,
    "VACUUM END": _vacuumed,
    "RESTORE": _restore,
    "ADD COLUMNS": _columns(N_("Added columns"), N_("Added columns: %(names)s")),
    "ADD COLUMN": _columns(N_("Added columns"), N_("Added columns: %(names)s")),
    "DROP COLUMNS": _columns(N_("Removed columns"), N_("Removed columns: %(names)s")),
    "CHANGE COLUMN": _columns(N_("Changed a column"), N_("Changed the column %(names)s")),
    "CHANGE COLUMNS": _columns(N_("Changed columns"), N_("Changed columns: %(names)s")),
    "RENAME COLUMN": _columns(N_("Renamed a column"), N_("Renamed the column %(names)s")),
    "REPLACE COLUMNS": _columns(N_("Replaced the columns"), N_("New columns: %(names)s")),
}
_PLAIN: Final[Mapping[str, str]] = {
    "CREATE TABLE": N_("Created, without rows"),
    "CREATE OR REPLACE TABLE": N_("Replaced by a table without rows"),
    "REPLACE TABLE": N_("Replaced by a table without rows"),
    "SET TBLPROPERTIES": N_("Changed properties"),
    "SET TABLE PROPERTIES": N_("Changed properties"),
    "UNSET TBLPROPERTIES": N_("Removed properties"),
    "ADD CONSTRAINT": N_("Added a constraint"),
    "DROP CONSTRAINT": N_("Removed a constraint"),
    "ADD FEATURE": N_("Added a feature of Delta"),
    "DROP FEATURE": N_("Removed a feature of Delta"),
    "UPGRADE PROTOCOL": N_("Upgraded the protocol"),
    "VACUUM START": N_("Began to vacuum"),
    "CONVERT": N_("Converted from Parquet"),
    "CONVERT TO DELTA": N_("Converted from Parquet"),
    "CLONE": N_("Cloned from another table"),
    "CLUSTER BY": N_("Changed the clustering"),
    "REORG": N_("Rewrote files"),
    "COMPUTE STATS": N_("Computed statistics"),
    "UPDATE TABLE METADATA": N_("Changed the description"),
}
