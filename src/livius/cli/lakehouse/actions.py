"""``livius lakehouse list``, ``create`` and ``load``, through the public API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import httpx

from livius.cli.answers import ApiFailed
from livius.cli.client import SampleClient, StatementFailed
from livius.cli.console import ConsoleProgress, fail, out, print_json, settings
from livius.cli.lakehouse.loading import CannotLoad, Load, Wanted, look, readable, statement
from livius.installation.home import Connection, Home

_SESSION_WITHIN: Final = 300.0
_LOAD_WITHIN: Final = 24 * 3600.0
_MIB: Final = 1024 * 1024
_SHOWN_COLUMNS: Final = 12
_CAUSE: Final = re.compile(r"\[[A-Z][A-Z_.0-9]+\] .*?(?= SQLSTATE:|\n|$)")


class _Refused(Exception):
    """What was asked for can't be done. The message is for people."""


def list_all(*, as_json: bool) -> int:
    """List lakehouses and their tables."""

    def show(client: SampleClient, home: Home, _connection: Connection) -> None:
        found = [_described(client, home, one) for one in client.lakehouses()]
        if as_json:
            print_json(found)
            return
        for one in found:
            about = f": {one['description']}" if one["description"] else ""
            out.print(f"{one['workspaceName']}/{one['displayName']}{about}", markup=False)
            out.print(f"  id      {one['id']}")
            out.print(f"  folder  {one['folder']}", markup=False)
            out.print(f"  tables  {', '.join(one['tables']) or 'none yet'}", markup=False)

    return _with_gateway(show)


def _described(client: SampleClient, home: Home, lakehouse: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": lakehouse["id"],
        "displayName": lakehouse["displayName"],
        "description": lakehouse["description"],
        "workspaceId": lakehouse["workspaceId"],
        "workspaceName": lakehouse["workspaceName"],
        "folder": str(home.onelake / lakehouse["workspaceId"] / lakehouse["id"]),
        "tables": client.tables(lakehouse),
    }


def create(name: str, *, workspace: str | None, description: str) -> int:
    """Create a lakehouse."""

    def make(client: SampleClient, home: Home, connection: Connection) -> None:
        place = _workspace(client, connection, workspace)
        made = client.create_lakehouse(place, name, description)
        folder = home.onelake / place / made["id"]
        out.print(f"Created the lakehouse {name}.", markup=False)
        out.print(f"  id      {made['id']}")
        out.print(f"  folder  {folder}", markup=False)
        out.print(f"Load a file into it: livius lakehouse load FILE --lakehouse {name}")

    return _with_gateway(make)


def load(wanted: Wanted, *, lakehouse: str | None) -> int:
    """Load files into a table."""
    try:
        planned = look(wanted)
    except CannotLoad as error:
        return fail(str(error))

    def run(client: SampleClient, _home: Home, connection: Connection) -> None:
        place = _lakehouse(client, connection, lakehouse)
        client.enter(place["workspaceId"], place["id"])
        done = _run(client, planned)
        _tell(done, planned, place)

    return _with_gateway(run)


def _run(client: SampleClient, planned: Load) -> dict[str, Any]:
    progress = ConsoleProgress()
    try:
        progress.step("Opening a session")
        session = client.create(f"load {planned.table}", within=_SESSION_WITHIN)
        try:
            progress.step(f"Loading {planned.bytes / _MIB:.1f} MB into the table {planned.table}")
            with readable(planned.source) as path:
                code = statement(planned, path)
                text = client.run(session, code, kind="pyspark", within=_LOAD_WITHIN)
        finally:
            client.delete(session)
    except StatementFailed as error:
        raise _Refused(_explained(error)) from error
    finally:
        progress.close()
    # Spark may warn before or after it, into the same text.
    last = next(line for line in reversed(text.splitlines()) if line.startswith("{"))
    done: dict[str, Any] = json.loads(last)
    return done


def _explained(error: StatementFailed) -> str:
    """Return what went wrong without what only helps in a notebook."""
    if error.name == "Refused":
        return error.value
    # Spark wraps the cause in what it was doing; the cause is the last that has a class.
    causes = _CAUSE.findall(error.value)
    message = causes[-1] if causes else error.value.partition("\n")[0]
    hints = {
        "MALFORMED": "A line does not fit the others. Correct it, or see --delimiter and --format.",
        "CAST_INVALID": "A value does not fit its column in the table. Load into another table.",
        "PATH_NOT_FOUND": "The gateway does not see this file: is it on the same machine?",
    }
    hint = next((text for sign, text in hints.items() if sign in message), "")
    return f"Nothing was loaded. {message[:600].strip()} {hint}".strip()


def _tell(done: dict[str, Any], planned: Load, place: dict[str, Any]) -> None:
    rows = _counted(done["rows"], "row")
    total = "" if done["total"] == done["rows"] else f", which has {done['total']:,} now"
    out.print(
        f"{rows} loaded into the table {planned.table} of {place['displayName']}{total}.",
        markup=False,
    )
    columns = done["columns"]
    more = f" and {len(columns) - _SHOWN_COLUMNS} more" if len(columns) > _SHOWN_COLUMNS else ""
    out.print(f"  columns  {', '.join(columns[:_SHOWN_COLUMNS])}{more}", markup=False)
    for was, now in done["renamed"].items():
        out.print(f"  renamed  {was!r} to {now}: Delta takes no such name", markup=False)
    out.print(f"  in SQL   {planned.table}", markup=False)


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _workspace(client: SampleClient, connection: Connection, asked: str | None) -> str:
    if asked is None:
        return connection.workspace_id
    known = {one["displayName"]: str(one["id"]) for one in client.workspaces()}
    if asked in known.values():
        return asked
    if asked not in known:
        raise _Refused(f"There is no workspace {asked}. There is: {', '.join(known)}.")
    return known[asked]


def _lakehouse(client: SampleClient, connection: Connection, asked: str | None) -> dict[str, Any]:
    known = client.lakehouses()
    wanted = (connection.lakehouse_id if asked is None else asked).lower()
    found = [
        one
        for one in known
        if wanted
        in (
            one["id"],
            one["displayName"].lower(),
            f"{one['workspaceName']}/{one['displayName']}".lower(),
        )
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{one['workspaceName']}/{one['displayName']}" for one in known)
    if found:
        raise _Refused(f"Several lakehouses are called {asked}. Say which: {names}.")
    raise _Refused(
        f"There is no lakehouse {asked or wanted}. There is: {names or 'none'}. Make one with: "
        "livius lakehouse create NAME"
    )


def _with_gateway(work: Callable[[SampleClient, Home, Connection], None]) -> int:
    """Do something with the gateway that serves; return the exit code."""
    home = Home(settings().home)
    connection = home.read_connection()
    if connection is None:
        return fail(f"No gateway serves {home.root}. Start one with: livius up")
    try:
        work(SampleClient(connection, home), home, connection)
    except (ApiFailed, _Refused) as error:
        return fail(str(error))
    except httpx.HTTPError as error:
        return fail(f"The gateway does not answer: {error}. See: livius logs")
    except KeyboardInterrupt:
        return fail("Interrupted. What was not finished is not in the table.")
    return 0
