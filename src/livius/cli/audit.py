"""``livius audit``: who did what, through the public API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from livius.cli.client import ApiFailed, SampleClient
from livius.cli.console import fail, out, settings
from livius.installation.home import Home


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
            out.print(json.dumps(record, ensure_ascii=False), markup=False, soft_wrap=True)
        return 0
    for one in records:
        # Lines, not a table: a narrow terminal, a pipe and grep get all of each.
        out.print(_harmless(_line(one)), markup=False, highlight=False, soft_wrap=True)
    return 0


def _line(one: Mapping[str, Any]) -> str:
    what = f"session {one['sessionId']}"
    if "statement" in one:
        what += f" statement {one['statement']}"
    parts = (
        f"{one['at'][:19].replace('T', ' ')}",
        one.get("actorName") or "-",
        one["action"],
        one["result"],
        what,
        f"from {one['address']}" if one.get("address") else "",
        one.get("codeHead", "").partition("\n")[0][:80],
    )
    return "  ".join(part for part in parts if part)


def _harmless(text: str) -> str:
    """Names and code are anybody's text: nothing in them may steer the terminal."""
    return "".join(one if one.isprintable() else "�" for one in text)
