"""``livius audit``: who did what, through the public API."""

from __future__ import annotations

import json
from typing import Final

import httpx
from rich.table import Table
from rich.text import Text

from livius.cli.client import ApiFailed, SampleClient
from livius.cli.console import fail, out, settings
from livius.installation.home import Home

_COLUMNS: Final = ("when", "who", "from", "what", "session", "statement", "result", "code")


def audit(*, workspace: str | None, session: str | None, lines: int, as_json: bool) -> int:
    """Print the newest records of a workspace, the newest last."""
    home = Home(settings().home)
    connection = home.read_connection()
    if connection is None:
        return fail(f"No gateway serves {home.root}. Start one with: livius up")
    try:
        records = SampleClient(connection, home).audit(
            workspace or connection.workspace_id, session=session, most=lines
        )
    except (ApiFailed, httpx.HTTPError) as error:
        return fail(str(error))
    records.reverse()
    if as_json:
        for record in records:
            out.print(json.dumps(record, ensure_ascii=False), markup=False)
        return 0
    table = Table(box=None, pad_edge=False)
    for title in _COLUMNS:
        table.add_column(title, no_wrap=True)
    for one in records:
        # Names and code are anybody's text: nothing in them may steer the terminal.
        values = (
            one["at"],
            one.get("actorName", ""),
            one.get("address", ""),
            one["action"],
            one["sessionId"],
            one.get("statement", ""),
            one["result"],
            one.get("codeHead", "").partition("\n")[0][:40],
        )
        table.add_row(*(Text(_harmless(value)) for value in values))
    out.print(table)
    return 0


def _harmless(text: str) -> str:
    return "".join(one if one.isprintable() else "�" for one in text)
