"""The rows of a statement as lines of JSON, as CSV and as an Arrow stream.

The data is JSON as the driver sent it. Only the positions of the rows are found first; each row is
parsed when it is written, so that a result is never in memory twice.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Raw

from livius.columns import unique_names

_BATCH: Final = 1000
_SQL: Final = "application/json"
_TABLE: Final = "application/vnd.livy.table.v1+json"
_NULL: Final = b"null"


class _Schema(msgspec.Struct):
    fields: list[dict[str, Any]]


class _Sql(msgspec.Struct):
    schema: _Schema
    data: list[Raw]
    truncated: bool = False


class _Table(msgspec.Struct):
    headers: list[dict[str, Any]]
    data: list[Raw]


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns as Spark describes them, and the JSON array of each row.

    ``is_cut``: the statement had more rows than its limits allow.
    """

    fields: Sequence[Mapping[str, Any]]
    data: Sequence[Raw]
    is_cut: bool

    @property
    def names(self) -> list[str]:
        """The columns' names; two may be the same."""
        return [field["name"] for field in self.fields]


def rows_of(data: bytes) -> Rows | None:
    """Return the rows in a statement's data, of the kind sql or of ``%table``; None if it has none.

    For a thread: it passes over all of the data once.
    """
    parts = msgspec.json.decode(data, type=dict[str, Raw])
    try:
        if _SQL in parts:
            sql = msgspec.json.decode(parts[_SQL], type=_Sql)
            return Rows(sql.schema.fields, sql.data, sql.truncated)
        if _TABLE in parts:
            table = msgspec.json.decode(parts[_TABLE], type=_Table)
            return Rows(table.headers, table.data, is_cut=False)
    except msgspec.ValidationError:
        return None  # JSON of another shape, such as of %json
    return None


def _batches(data: Sequence[Raw]) -> Iterator[Sequence[Raw]]:
    return (data[start : start + _BATCH] for start in range(0, len(data), _BATCH))


def as_json_lines(rows: Rows) -> Iterator[bytes]:
    """Yield one line with an object per row; the digits of numbers don't change."""
    names = [msgspec.json.encode(name) + b":" for name in unique_names(rows.names)]
    for batch in _batches(rows.data):
        yield b"".join(_line(names, row) for row in batch)


def _line(names: Sequence[bytes], row: Raw) -> bytes:
    values = map(bytes, msgspec.json.decode(row, type=list[Raw]))
    pairs = (name + value for name, value in zip(names, values, strict=True))
    return b"{" + b",".join(pairs) + b"}\n"


def as_csv(rows: Rows) -> Iterator[bytes]:
    """Yield a header and a line for each row (RFC 4180). Null and empty text are both empty."""
    if not rows.fields:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.names)
    for batch in _batches(rows.data):
        for row in batch:
            writer.writerow(map(_cell, msgspec.json.decode(row, type=list[Raw])))
        yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    taken = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return taken


def _cell(value: Raw) -> str:
    raw = bytes(value)
    if raw == _NULL:
        return ""
    return json.loads(raw) if raw.startswith(b'"') else raw.decode()


def as_arrow(rows: Rows, zone: str | None) -> Iterator[bytes]:
    """Yield an Arrow IPC stream.

    Raises:
        ImportError: pyarrow is not installed.
        livius.arrow.Misfit: a value of the batch doesn't fit its column's type.
    """
    from livius.arrow import arrow_stream

    batches = ([json.loads(bytes(row)) for row in batch] for batch in _batches(rows.data))
    return arrow_stream(rows.fields, batches, zone)


Write = Callable[[Rows, str | None], Iterator[bytes]]
FORMATS: Final[Mapping[str, tuple[str, Write]]] = {
    "ndjson": ("application/x-ndjson", lambda rows, _zone: as_json_lines(rows)),
    "csv": ("text/csv", lambda rows, _zone: as_csv(rows)),
    "arrow": ("application/vnd.apache.arrow.stream", as_arrow),
}
"""By its name: a format's media type, and what writes it. The first one is the default."""
