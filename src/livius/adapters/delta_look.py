"""Reads one Delta table's schema, first rows and newest versions; a process of its own.

``python -m livius.adapters.delta_look FOLDER`` writes one JSON object. The table is foreign: files
outside of its folder are not read, whatever its log or a link says, and memory is limited.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_COLUMNS: Final = 100
_ROWS: Final = 50
_VERSIONS: Final = 30
_CELL: Final = 300
_MOST_FILES: Final = 5000
_MEMORY: Final = 4 * 1024**3
"""Address space, much of which the library only reserves."""


def look(folder: Path) -> dict[str, Any]:
    """Return what there is to see of a table."""
    from deltalake import DeltaTable

    table = DeltaTable(folder)
    fields = table.schema().fields
    found: dict[str, Any] = {
        "columns": [
            {"name": one.name, "type": _type(one.type), "nullable": one.nullable}
            for one in fields[:_COLUMNS]
        ],
        "more_columns": len(fields) > _COLUMNS,
        "rows": [],
        "more_rows": False,
        "trouble": None,
        "commits": [_commit(one) for one in table.history(_VERSIONS)],
    }
    try:
        _check_files(folder, table.file_uris())
        rows = _rows(table, [one.name for one in fields[:_COLUMNS]])
    except Exception as error:  # noqa: BLE001 - told in the page, beside the schema
        found["trouble"] = str(error)[:_CELL]
    else:
        found["rows"], found["more_rows"] = rows[:_ROWS], len(rows) > _ROWS
    return found


def _check_files(folder: Path, uris: list[str]) -> None:
    if len(uris) > _MOST_FILES:
        raise ValueError(f"The table has {len(uris)} files, too many to look into here.")
    own = folder.resolve()
    for uri in uris:
        path = Path(unquote(urlsplit(uri).path)) if uri.startswith("file:") else Path(uri)
        if not path.resolve().is_relative_to(own):
            raise ValueError("The table has files outside of its folder.")


def _rows(table: Any, names: list[str]) -> list[list[str | None]]:
    from deltalake import QueryBuilder

    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    query = f"SELECT {quoted} FROM look LIMIT {_ROWS + 1}"  # noqa: S608 - names are quoted
    reader = QueryBuilder().register("look", table).execute(query)
    found = reader.read_all()
    columns = [found.column(place).to_pylist() for place in range(found.num_columns)]
    return [[_cell(one) for one in row] for row in zip(*columns, strict=True)]


def _cell(value: object) -> str | None:
    if value is None:
        return None
    text = json.dumps(value, default=str, ensure_ascii=False) if _nested(value) else str(value)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _CELL else text[:_CELL] + "…"


def _nested(value: object) -> bool:
    return isinstance(value, list | dict | tuple | bool)


def _type(one: Any) -> str:
    """Return a type as Delta writes it: a word, or for nested ones a short form."""
    kind = json.loads(one.to_json())
    return kind if isinstance(kind, str) else _nested_type(kind)[:_CELL]


def _nested_type(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if kind["type"] == "array":
        return f"array<{_nested_type(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"map<{_nested_type(kind['keyType'])}, {_nested_type(kind['valueType'])}>"
    inner = ", ".join(f"{one['name']}: {_nested_type(one['type'])}" for one in kind["fields"])
    return f"struct<{inner}>"


def _commit(one: dict[str, Any]) -> dict[str, Any]:
    parameters = one.get("operationParameters") or {}
    metrics = one.get("operationMetrics") or {}
    return {
        "version": int(one.get("version", -1)),
        "at": one.get("timestamp"),
        "operation": str(one.get("operation", ""))[:_CELL],
        "parameters": json.dumps(parameters, default=str, ensure_ascii=False)[:_CELL],
        "metrics": {
            str(name)[:_CELL]: str(value)[:_CELL] for name, value in list(metrics.items())[:20]
        },
    }


def main() -> int:
    """Write the look at the table that the argument names."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found = look(Path(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - told to who asked
        found = {"error": str(error)[:_CELL]}
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
