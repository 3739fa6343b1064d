"""The process that loads files into a Delta table: ``python -m``, with its task on standard input.

It prints one line of JSON: the number of files, or an error. Batches of rows pass from the files
to the table, so memory does not grow with them. A new table is written in the stage and gets its
place whole, so a load that is killed leaves nothing there. The process ends by itself when its
standard input is closed, which the end of the gateway does.
"""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_NOT_DELTAS: Final = re.compile(r"[\s,;{}()=]+")
_LONGEST_ERROR: Final = 1000
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})


class Refused(Exception):
    """The load can't be done; the message is for people."""


def load(task: Mapping[str, Any]) -> int:
    """Load files into a table; return how many."""
    # It takes long to import, and the task may be refused before.
    from deltalake import DeltaTable, QueryBuilder, write_deltalake
    from deltalake.exceptions import DeltaError

    stage, target = Path(task["stage"]), Path(task["target"])
    files = find_files(Path(task["root"]), task)
    is_there = DeltaTable.is_deltatable(str(target))
    if is_there and task["mode"] == "Create":
        raise Refused(f"There is a table {target.name} already. Append to it, or overwrite it.")
    links, new = stage / "files", stage / "table"
    links.mkdir()
    for number, file in enumerate(files):
        (links / f"{number:06}.{task['format'].lower()}").symlink_to(file.resolve())
    try:
        query = QueryBuilder()
        query.execute(_create(links, task))
        columns: Any = query.execute("SELECT * FROM source").schema
        names = _names([column.name for column in columns], task)
        chosen = ", ".join(
            f"{_value(column)} AS {_quoted(name)}"
            for column, name in zip(columns, names, strict=True)
        )
        rows = query.execute(f"SELECT {chosen} FROM source")  # noqa: S608 - quoted above
        table = target if is_there else new
        if task["mode"] == "Overwrite":
            write_deltalake(table, rows, mode="overwrite", schema_mode="overwrite")
        else:
            write_deltalake(table, rows, mode="append")
        if table is new:
            _place(new, target)
    except (DeltaError, OSError, ValueError) as error:
        raise Refused(_plain(error, task)) from error
    except Exception as error:
        if type(error) is not Exception:  # which the library raises for a failed cast
            raise
        raise Refused(_plain(error, task)) from error
    return len(files)


def _place(new: Path, target: Path) -> None:
    """Give a whole table its place, where at most an empty folder may be."""
    target.parent.mkdir(exist_ok=True)
    try:
        new.rename(target)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        raise Refused(
            f"{target.name} was no table when the load began, and its place below Tables has files "
            "now. If they are another writer's new table, send the load again; else remove them."
        ) from error


def find_files(root: Path, task: Mapping[str, Any]) -> Sequence[Path]:
    """Return the files of a task, none of them outside of the lakehouse.

    Raises:
        Refused: there is none.
    """
    wanted = root / task["path"]
    if task["is_folder"]:
        if not wanted.is_dir():
            raise Refused(f"There is no folder {task['path']} in the lakehouse.")
        found = sorted(_below(wanted, recursive=task["recursive"]))
        files = [one for one in found if one.name.lower().endswith(_suffix(task))]
        if not files:
            raise Refused(f"The folder {task['path']} has no files that end with {_suffix(task)}.")
    else:
        if not wanted.is_file():
            raise Refused(f"There is no file {task['path']} in the lakehouse.")
        files = [wanted]
    real = root.resolve()
    for file in files:
        if not file.resolve().is_relative_to(real):
            raise Refused(f"{file.relative_to(root)} is a link to a place outside the lakehouse.")
    return files


def _below(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """Return the files in a folder, without those that Spark would not read."""
    for one in folder.iterdir():
        if one.name.startswith((".", "_")):
            continue
        if one.is_file():
            yield one
        elif recursive and one.is_dir() and not one.is_symlink():
            yield from _below(one, recursive=True)


def _suffix(task: Mapping[str, Any]) -> str:
    return str(task["suffix"])


def _create(links: Path, task: Mapping[str, Any]) -> str:
    place = f"LOCATION {_text(f'{links}/')}"
    if task["format"] == "Parquet":
        return f"CREATE EXTERNAL TABLE source STORED AS PARQUET {place}"
    # A type has to fit all rows.
    options = {"format.schema_infer_max_rec": "1000000000"}
    if task["format"] == "Csv":
        options["format.has_header"] = "true" if task["header"] else "false"
        options["format.delimiter"] = task["delimiter"]
    listed = ", ".join(f"{_text(key)} {_text(value)}" for key, value in options.items())
    kind = task["format"].upper()
    return f"CREATE EXTERNAL TABLE source STORED AS {kind} {place} OPTIONS ({listed})"


def _names(names: Sequence[str], task: Mapping[str, Any]) -> Sequence[str]:
    """Return the columns' names as Delta takes them, or as Spark makes them without a header."""
    if not names:
        raise Refused("There are no columns in the files: they are empty, or of another format.")
    if task["format"] == "Csv" and not task["header"]:
        return [f"_c{number}" for number in range(len(names))]
    found = [_NOT_DELTAS.sub("_", name).strip("_") or "_" for name in names]
    twice = sorted(
        {name for name in found if [one.lower() for one in found].count(name.lower()) > 1}
    )
    if twice:
        raise Refused(f"Two columns would have the name {twice[0]}. Rename one in the files.")
    return found


def _value(column: Any) -> str:
    """Return a column's value in SQL; one that is always null has no type, and becomes text."""
    from arro3.core import DataType

    name = _quoted(column.name)
    has_no_type: bool = DataType.is_null(column.type)
    return f"CAST({name} AS VARCHAR)" if has_no_type else name


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(error: Exception, task: Mapping[str, Any]) -> str:
    """Return the last of the causes that the library lists, without paths of this machine."""
    text = str(error)
    for place in (task["stage"], task["root"]):
        text = text.replace(f"{place}/", "").replace(place, "")
    hint = "A JSON file has one object in each line. " if task["format"] == "Json" else ""
    return f"The files can't be loaded. {hint}{text[-_LONGEST_ERROR:]}"


def _end_with_the_gateway() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Do the task on standard input."""
    # Where the machine's memory ends, this process goes before the gateway and sessions.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_gateway, daemon=True).start()
    try:
        answer: dict[str, Any] = {"files": load(task)}
    except Refused as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
