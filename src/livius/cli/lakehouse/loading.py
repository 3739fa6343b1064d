"""Examines files to load: their format, and the options with which a session reads them."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from livius.cli.answers import Failed

_FORMATS: Final = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_PACKED: Final = ".gz"
_TABLE: Final = re.compile(r"[a-z0-9_]{1,128}", re.ASCII)
_GLOB: Final = re.compile(r"[*?\[\]{}\\,]")
_LOOK_AT: Final = 64 * 1024


class CannotLoad(Failed):
    """The files can't be loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The user's options; None: to be derived from the files."""

    source: Path
    table: str | None
    mode: str
    format: str | None
    header: bool
    delimiter: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load that a session runs, and its size."""

    table: str
    mode: str
    format: str
    source: Path
    options: dict[str, str]
    bytes: int


def look(wanted: Wanted) -> Load:
    """Return how to load the files.

    Raises:
        CannotLoad: there is nothing to load, or no way to know how.
    """
    source = wanted.source.expanduser().absolute()
    if not source.exists():
        raise CannotLoad(f"There is no file or folder {source}.")
    files = _files(source)
    size = sum(_size(file) for file in files)
    if size == 0:
        raise CannotLoad(f"{source} is empty: there is nothing to load.")
    suffix, found = _kind(source, files)
    form = wanted.format or found
    if form is None:
        raise CannotLoad(
            f"What is in {source} can't be seen from its name. Say it with --format: parquet, csv "
            f"or json. Names that tell: {', '.join(_FORMATS)}, and .gz after the text formats."
        )
    options = _options(wanted, form, suffix, files)
    if source.is_dir() and form != "delta":
        options |= _folder_options(source, suffix)
    return Load(
        table=_table(wanted.table, source),
        mode=wanted.mode,
        format=form,
        source=source,
        options=options,
        bytes=size,
    )


@contextmanager
def readable(source: Path) -> Iterator[Path]:
    """Yield a path of the source that Spark takes for a path and not for a pattern.

    Escaping does not help: Spark reads some formats twice, the second time without the escapes.
    """
    if not _GLOB.search(str(source)):
        yield source
        return
    with TemporaryDirectory(prefix="livius-load-") as folder:
        link = Path(folder) / f"source{_suffix(source)}"
        link.symlink_to(source)
        yield link


def _files(source: Path) -> Sequence[Path]:
    if not source.is_dir():
        return [source]
    found = []
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        found += [Path(folder, name) for name in sorted(names) if not name.startswith((".", "_"))]
    return found


def _size(file: Path) -> int:
    try:
        with file.open("rb"):
            return file.stat().st_size
    except OSError as error:
        raise CannotLoad(f"{file} can't be read: {error.strerror}.") from error


def _kind(source: Path, files: Sequence[Path]) -> tuple[str, str | None]:
    """Return the suffix that the files have, and the format that it stands for."""
    if (source / "_delta_log").is_dir():
        return "", "delta"
    suffixes = {_suffix(file) for file in files}
    if len(suffixes) > 1:
        raise CannotLoad(
            f"{source} holds files of several kinds: {', '.join(sorted(suffixes))}. Load one kind "
            "at a time: put each into a folder of its own, or name a single file."
        )
    [suffix] = suffixes
    return suffix, _FORMATS.get(suffix.removesuffix(_PACKED))


def _suffix(file: Path) -> str:
    name = file.name.lower()
    stem = name.removesuffix(_PACKED)
    return Path(stem).suffix + (_PACKED if stem != name else "")


def _options(wanted: Wanted, form: str, suffix: str, files: Sequence[Path]) -> dict[str, str]:
    # A line that does not fit is an error: if it were left out, nobody would notice in time.
    strict = {"mode": "FAILFAST"}
    if form == "csv":
        tab = suffix.startswith(".tsv")
        return {
            **strict,
            "header": str(wanted.header).lower(),
            "inferSchema": "true",
            "sep": wanted.delimiter or ("\t" if tab else ","),
            # Line ends inside quotes, and quotes doubled inside quotes, as RFC 4180 has them.
            "multiLine": "true",
            "escape": '"',
        }
    if form == "json":
        return {**strict, "multiLine": str(any(map(_is_one_document, files))).lower()}
    return {}


def _is_one_document(file: Path) -> bool:
    """Tell whether a JSON file is one value over many lines, rather than a value a line."""
    read = gzip.open if file.name.lower().endswith(_PACKED) else open
    try:
        with read(file, "rb") as stream:
            start = stream.read(_LOOK_AT).lstrip()
    except (OSError, EOFError) as error:
        raise CannotLoad(f"{file} can't be unpacked: {error}.") from error
    if start.startswith(b"["):
        return True
    first, end, _rest = start.partition(b"\n")
    if not end:
        return False
    try:
        json.loads(first)
    except ValueError:
        return True
    return False


def _folder_options(source: Path, suffix: str) -> dict[str, str]:
    # Folders such as year=2026 are columns, which Spark finds itself.
    partitioned = any("=" in folder.name for folder in source.iterdir() if folder.is_dir())
    return {} if partitioned or not suffix else {"recursiveFileLookup": "true"}


def _table(asked: str | None, source: Path) -> str:
    if asked is not None:
        if not _TABLE.fullmatch(asked):
            raise CannotLoad(
                f"{asked!r} can't be a table's name here: use up to 128 small letters, digits and "
                "underscores."
            )
        return asked
    stem = source.name if source.is_dir() else source.name[: -len(_suffix(source)) or None]
    name = re.sub(r"[^a-z0-9_]+", "_", stem.lower()).strip("_")[:128]
    if not name:
        raise CannotLoad(
            f"No table's name can be made of {source.name!r}: choose one with --table."
        )
    return name


def statement(load: Load, path: Path) -> str:
    """Return the code that a session runs to load that path; it prints one line of JSON."""
    code = Path(__file__).with_name("load_table.py").read_text(encoding="utf-8")
    wanted: dict[str, Any] = {
        "table": load.table,
        "mode": load.mode,
        "format": load.format,
        "options": load.options,
        "path": f"file://{path}",
    }
    # JSON inside of a Python literal: any path is only text.
    return (
        f"{code}\n\nimport json\nprint(json.dumps(load(spark, json.loads({json.dumps(wanted)!r}))))"
    )
