"""Reads one Delta table's schema, first rows and newest versions; a process of its own.

``python -m livius.adapters.local.delta_preview FOLDER [UID]`` writes one JSON object; with a
number, which is uid and gid, it reads as that user. The table is untrusted: files outside of its
folder are never read, even if its log or a link names them, and memory is limited.
"""

from __future__ import annotations

import json
import os
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
    """Return the preview of a table."""
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
        _check_files(folder, table.get_add_actions(flatten=True).column("path").to_pylist())
        kinds = [json.loads(one.type.to_json()) for one in fields[:_COLUMNS]]
        rows = _rows(table, [one.name for one in fields[:_COLUMNS]], kinds)
    except Exception as error:  # noqa: BLE001 - told in the page, beside the schema
        found["trouble"] = _said(error, folder)
    else:
        found["rows"], found["more_rows"] = rows[:_ROWS], len(rows) > _ROWS
    return found


def _check_files(folder: Path, paths: list[str]) -> None:
    """Refuse a table with files outside of its folder.

    The paths are as in the log: relative to the folder and percent-encoded. The library's own paths
    are no help: it joins a whole URL to the folder, but then opens the URL.

    Raises:
        ValueError: a path leads out, by itself or through a link; or there are too many.
    """
    if len(paths) > _MOST_FILES:
        raise ValueError(f"The table has {len(paths)} files, too many to look into here.")
    own = folder.resolve()
    for path in paths:
        for spelled in (path, unquote(path)):
            leads_out = (
                urlsplit(spelled).scheme
                or spelled.startswith(("/", "\\"))
                or ".." in spelled.split("/")
                or not (own / spelled).resolve().is_relative_to(own)
            )
            if leads_out:
                raise ValueError("The table has files outside of its folder.")


def _rows(table: Any, names: list[str], kinds: list[Any]) -> list[list[str | None]]:
    from deltalake import QueryBuilder

    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    query = f"SELECT {quoted} FROM look LIMIT {_ROWS + 1}"  # noqa: S608 - names are quoted
    reader = QueryBuilder().register("look", table).execute(query)
    found = reader.read_all()
    columns = [found.column(place).to_pylist() for place in range(found.num_columns)]
    return [
        [_cell(_plain(one, kind)) for one, kind in zip(row, kinds, strict=True)]
        for row in zip(*columns, strict=True)
    ]


def _cell(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _CELL else text[:_CELL] + "…"


def _plain(value: Any, kind: Any) -> Any:
    """Return a value for JSON, by Delta's type: an object for structs and maps."""
    if value is None:
        return None
    match kind:
        case {"type": "struct", "fields": fields}:
            found: Any = {one["name"]: _plain(value[one["name"]], one["type"]) for one in fields}
        case {"type": "array", "elementType": inner}:
            found = [_plain(one, inner) for one in value]
        case {"type": "map", "keyType": key, "valueType": inner}:
            pairs = value.items() if isinstance(value, dict) else value
            found = {str(_plain(name, key)): _plain(one, inner) for name, one in pairs}
        case "variant":
            found = "(variant)"  # in Spark's own binary form
        case "binary":
            found = bytes(value[: _CELL // 2]).hex()
        case _:
            found = value if isinstance(value, bool | int | float) else str(value)
    return found


def _type(one: Any) -> str:
    """Return a type as Delta writes it, or a short form of a nested one."""
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


def _said(error: Exception, folder: Path) -> str:
    """Return the first line of the library's message, without paths of this machine."""
    line = str(error).partition("\n")[0]
    for place in (str(folder), str(folder).lstrip("/")):
        line = line.replace(f"{place}/", "").replace(place, "the table")
    return line[:_CELL]


def main() -> int:
    """Write the preview of the table that the argument names."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in map(int, sys.argv[2:]):
        import deltalake  # noqa: F401 - while our own files can be read

        # It repeats three lines of `livius_agent.process.become`, because the driver's side is no
        # library for the gateway, and its other lines serve processes that write and start
        # programs.
        os.setgroups(())
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    try:
        found = look(Path(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - the caller gets it
        found = {"error": _said(error, Path(sys.argv[1]))}
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
