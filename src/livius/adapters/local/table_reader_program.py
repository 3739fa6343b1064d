"""Describes Delta tables, one a process: its facts and columns, rows, versions or files.

``python -m livius.adapters.local.table_reader_program`` reads its task, one line of JSON, from
standard input, and writes one JSON object: ``folder``, the ``wanted`` parts, and ``user``, a uid
and gid to read as, or null. The library is loaded before the task comes, so that a process that was
started in advance answers soon. One whose task does not come within some minutes ends.

The table is untrusted: files outside of its folder are never read, even if its log or a link names
them, and memory is limited.
"""

from __future__ import annotations

import json
import os
import resource
import select
import stat
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_COLUMNS: Final = 100
_ROWS: Final = 100
_VERSIONS: Final = 30
_FILES: Final = 200
_CELL: Final = 300
_TEXT: Final = 1000
_MOST_FILES: Final = 5000
_MEMORY: Final = 4 * 1024**3
"""Address space, much of which the library only reserves."""
_TASK_WITHIN: Final = 120.0


def describe(folder: Path, wanted: Collection[str]) -> dict[str, Any]:
    """Return the description of a table."""
    from deltalake import DeltaTable

    table = DeltaTable(folder)
    fields = table.schema().fields
    files = table.get_add_actions(flatten=True)
    found: dict[str, Any] = {
        "facts": _facts(table, files),
        "columns": [
            {
                "name": one.name[:_CELL],
                "type": _type(one.type),
                "nullable": one.nullable,
                "comment": str(one.metadata.get("comment", ""))[:_TEXT],
            }
            for one in fields[:_COLUMNS]
        ],
        "more_columns": len(fields) > _COLUMNS,
        "rows": [],
        "more_rows": False,
        "trouble": None,
        "commits": [],
        "files": [],
    }
    if "history" in wanted:
        found["commits"] = [_commit(one) for one in table.history(_VERSIONS)]
    if "files" in wanted:
        found["files"] = _newest(files)
    if "rows" in wanted:
        try:
            _check_files(folder, files.column("path").to_pylist())
            kinds = [json.loads(one.type.to_json()) for one in fields[:_COLUMNS]]
            rows = _rows(table, [one.name for one in fields[:_COLUMNS]], kinds)
        except Exception as error:  # noqa: BLE001 - shown in the page, beside the schema
            found["trouble"] = _said(error, folder)
        else:
            found["rows"], found["more_rows"] = rows[:_ROWS], len(rows) > _ROWS
    return found


def _facts(table: Any, files: Any) -> dict[str, Any]:
    counts = _column(files, "num_records")
    about = table.metadata()
    last = table.history(1)
    return {
        "version": table.version(),
        "changed_at": last[0].get("timestamp") if last else None,
        "rows": None if None in counts else sum(counts),
        "size": sum(filter(None, _column(files, "size_bytes"))),
        "files": files.num_rows,
        "columns": len(table.schema().fields),
        # The library's counts of rows are those of files, with the rows that vectors delete.
        "may_have_fewer_rows": "deletionVectors" in (table.protocol().reader_features or ()),
        "description": str(about.description or "")[:_TEXT],
        "partitioned_by": [str(one)[:_CELL] for one in about.partition_columns[:_COLUMNS]],
    }


def _column(files: Any, name: str) -> list[Any]:
    if name not in files.schema.names:
        return [None] * files.num_rows
    values: list[Any] = files.column(name).to_pylist()
    return values


def _newest(files: Any) -> list[dict[str, Any]]:
    columns = [
        _column(files, name) for name in ("path", "size_bytes", "num_records", "modification_time")
    ]
    newest = sorted(zip(*columns, strict=True), key=lambda one: -(one[3] or 0))[:_FILES]
    return [
        {"path": str(path)[:_TEXT], "size": size or 0, "rows": rows, "changed_at": at}
        for path, size, rows, at in newest
    ]


def _check_files(folder: Path, paths: list[str]) -> None:
    """Refuse a table with files outside of its folder.

    The paths are as in the log: relative to the folder and percent-encoded. The library's own paths
    are no help: it joins a whole URL to the folder, but then opens the URL.

    Raises:
        ValueError: a path leads out, by itself or through a link; or there are too many.
    """
    if len(paths) > _MOST_FILES:
        raise ValueError(f"The table has {len(paths)} files, too many to look into here.")
    own, parents = folder.resolve(), dict[str, bool]()
    for path in paths:
        if any(_leads_out(own, spelled, parents) for spelled in {path, unquote(path)}):
            raise ValueError("The table has files outside of its folder.")


def _leads_out(own: Path, path: str, parents: dict[str, bool]) -> bool:
    """Tell whether a path leads out of a folder; ``parents``: what is known of folders in it."""
    if urlsplit(path).scheme or path.startswith(("/", "\\")) or ".." in path.split("/"):
        return True
    parent = path.rpartition("/")[0]
    if parent not in parents:
        parents[parent] = (own / parent).resolve().is_relative_to(own)
    return not parents[parent] or (
        _is_link(f"{own}/{path}") and not (own / path).resolve().is_relative_to(own)
    )


def _is_link(path: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except (OSError, ValueError):  # there is no such file, or it can have no such name
        return False


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
    return {
        "version": int(one.get("version", -1)),
        "at": one.get("timestamp"),
        "operation": str(one.get("operation", ""))[:_CELL],
        "parameters": _texts(one.get("operationParameters")),
        "metrics": _texts(one.get("operationMetrics")),
    }


def _texts(values: Any) -> dict[str, str]:
    if not isinstance(values, dict):
        return {}
    return {
        str(name)[:_CELL]: (
            one if isinstance(one, str) else json.dumps(one, default=str, ensure_ascii=False)
        )[:_CELL]
        for name, one in list(values.items())[:30]
    }


def _said(error: Exception, folder: Path) -> str:
    """Return the first line of the library's message, without paths of this machine."""
    line = str(error).partition("\n")[0]
    for place in (str(folder), str(folder).lstrip("/")):
        line = line.replace(f"{place}/", "").replace(place, "the table")
    return line[:_CELL]


def main() -> int:
    """Describe the table that the task names."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # While our own files can be read, and before the task comes: the first query takes longer.
    from deltalake import QueryBuilder

    QueryBuilder().execute("SELECT 1").read_all()
    if not select.select([sys.stdin], [], [], _TASK_WITHIN)[0]:
        return 0
    line = sys.stdin.buffer.readline()
    if not line:
        return 0
    task = json.loads(line)
    folder, number = Path(task["folder"]), task["user"]
    if number is not None:
        # It repeats three lines of `livius_agent.process.become`, because the driver's side is no
        # library for the gateway, and its other lines serve processes that write and start
        # programs.
        os.setgroups(())
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    try:
        found = describe(folder, task["wanted"])
    except Exception as error:  # noqa: BLE001 - the caller gets it
        found = {"error": _said(error, folder)}
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
