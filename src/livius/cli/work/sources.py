"""Code to run: from a file, a notebook, standard input or the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from livius.cli.answers import Failed
from livius.cli.work.statements import Code

KIND_OF: Final = {".py": "pyspark", ".sql": "sql", ".scala": "spark"}
_NOTEBOOK: Final = ".ipynb"
_LANGUAGES: Final = {
    "python": "pyspark",
    "scala": "spark",
    "sql": "sql",
    "sparksql": "sql",
    "spark": "spark",
    "pyspark": "pyspark",
}
_MAGICS: Final = {"%%sql": "sql", "%%pyspark": "pyspark", "%%spark": "spark"}


def read_code(source: str, kind: str | None) -> list[Code]:
    """Return the code to run, in order: one piece, or a notebook's cells.

    ``source`` is a file, or ``-`` for standard input, which needs a kind.

    Raises:
        Failed: it can't be read, or its kind is not known.
    """
    if source == "-":
        if kind is None:
            raise Failed("Name the language of standard input: --kind pyspark, sql or spark.")
        return [Code(text=_decoded(sys.stdin.buffer.read(), "standard input"), kind=kind)]
    path = Path(source)
    if source.startswith("-") and not path.exists():
        raise Failed(f"There is no option {source}. See: livius run --help")
    suffix = path.suffix.lower()
    chosen = kind or KIND_OF.get(suffix)
    if chosen is None and suffix != _NOTEBOOK:
        raise Failed(
            f"The language of {source} is not known: its name ends in none of "
            f"{', '.join([*KIND_OF, _NOTEBOOK])}. Name it: --kind pyspark, sql or spark."
        )
    text = read_file(path)
    if suffix == _NOTEBOOK:
        return _cells(text, path, kind)
    return [Code(text=text, kind=chosen or "")]


def read_file(path: Path) -> str:
    """Return a file's text.

    Raises:
        Failed: it can't be read.
    """
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise Failed(f"{path} can't be read: {error.strerror}.") from error


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failed(f"{name} is not UTF-8 text (byte {error.start}). Convert it first.") from error


def _cells(text: str, path: Path, kind: str | None) -> list[Code]:
    try:
        notebook = json.loads(text)
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"{path} is not a notebook of Jupyter's format 4.") from error
    usual = kind or _language(notebook.get("metadata", {})) or "pyspark"
    codes = []
    for number, (cell, source) in enumerate(zip(cells, sources, strict=True), 1):
        if source.strip():
            first, _, rest = source.partition("\n")
            own = _MAGICS.get(first.strip())
            codes.append(
                Code(
                    text=rest if own else source,
                    kind=own or _language(cell.get("metadata", {})) or usual,
                    label=f"Cell {number} of {len(cells)}",
                )
            )
    return codes


def _language(metadata: dict[str, Any]) -> str | None:
    """Return the kind that a notebook's or a cell's metadata name, in Jupyter's way or Fabric's."""
    for group, key in (
        ("microsoft", "language"),
        ("language_info", "name"),
        ("kernelspec", "language"),
    ):
        found = metadata.get(group)
        if isinstance(found, dict) and str(found.get(key)).lower() in _LANGUAGES:
            return _LANGUAGES[str(found[key]).lower()]
    return None
