"""A result as a file in Arrow's format."""

from __future__ import annotations

import json
from typing import IO

from livius.arrow import Misfit, arrow_stream
from livius.cli.answers import Failed
from livius.cli.work.results import Rows


def needs_zone(rows: Rows) -> bool:
    """Tell whether the session's time zone is needed: moments come as its local times."""
    return '"timestamp"' in json.dumps([field["type"] for field in rows.fields])


def write_arrow(rows: Rows, file: IO[bytes], *, zone: str) -> None:
    """Write an Arrow IPC stream of one batch.

    Raises:
        Failed: a value does not fit Arrow's type.
    """
    try:
        for piece in arrow_stream(rows.fields, [rows.data] if rows.fields else [], zone):
            file.write(piece)
    except Misfit as error:
        raise Failed(f"{error}. Use --format json, or cast it to string in the query.") from error
