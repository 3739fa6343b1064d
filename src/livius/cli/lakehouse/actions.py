"""``livius lakehouse list``, ``create`` and ``load``, through the public API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from livius.cli.answers import Failed
from livius.cli.api import Api
from livius.cli.console import out, print_json
from livius.cli.lakehouse.loading import Load, Wanted, look, readable, statement
from livius.cli.work.interrupts import Interrupted
from livius.cli.work.opening import Command, opened
from livius.cli.work.options import SessionOptions
from livius.cli.work.places import find_workspace
from livius.cli.work.running import exit_status
from livius.cli.work.statements import Code, StatementFailed, run

_MIB: Final = 1024 * 1024
_SHOWN_COLUMNS: Final = 12
_CAUSE: Final = re.compile(r"\[[A-Z][A-Z_.0-9]+\] .*?(?= SQLSTATE:|\n|$)")


def list_all(*, as_json: bool) -> int:
    """List lakehouses and their tables."""

    def work(command: Callable[[], Command]) -> None:
        api = command().api
        found = [
            _described(api, workspace["displayName"], one)
            for workspace in api.pages("/workspaces")
            for one in api.pages(f"/workspaces/{workspace['id']}/lakehouses")
        ]
        if as_json:
            print_json(found)
            return
        for one in found:
            about = f": {one['description']}" if one["description"] else ""
            out.print(f"{one['workspaceName']}/{one['displayName']}{about}", markup=False)
            out.print(f"  id      {one['id']}")
            out.print(f"  folder  {one['folder']}", markup=False)
            out.print(f"  tables  {', '.join(one['tables']) or 'none yet'}", markup=False)

    return exit_status(work)


def _described(api: Api, workspace_name: str, lakehouse: dict[str, Any]) -> dict[str, Any]:
    workspace, lakehouse_id = lakehouse["workspaceId"], lakehouse["id"]
    tables = api.pages(f"/workspaces/{workspace}/lakehouses/{lakehouse_id}/tables", field="data")
    return {
        "id": lakehouse_id,
        "displayName": lakehouse["displayName"],
        "description": lakehouse["description"],
        "workspaceId": workspace,
        "workspaceName": workspace_name,
        "folder": str(api.home.onelake / workspace / lakehouse_id),
        "tables": [
            f"{table['schemaName']}.{table['name']}" if "schemaName" in table else table["name"]
            for table in tables
        ],
    }


def create(name: str, *, workspace: str | None, description: str, schemas: bool) -> int:
    """Create a lakehouse."""

    def work(command: Callable[[], Command]) -> None:
        api = command().api
        place = find_workspace(api, workspace)
        body: dict[str, Any] = {"displayName": name, "description": description}
        if schemas:
            body["creationPayload"] = {"enableSchemas": True}
        made = api.call("POST", f"/workspaces/{place}/lakehouses", body=body)
        out.print(f"Created the lakehouse {name}.", markup=False)
        out.print(f"  id      {made['id']}")
        out.print(f"  folder  {api.home.onelake / place / made['id']}", markup=False)
        out.print(f"Load a file into it: livius lakehouse load FILE --lakehouse {name}")

    return exit_status(work)


def load(wanted: Wanted, *, lakehouse: str | None) -> int:
    """Load files into a table."""

    def work(command: Callable[[], Command]) -> None:
        planned = look(wanted)
        here = command()
        options = SessionOptions(lakehouse=lakehouse, name=f"load {planned.table}")
        text: list[str] = []
        try:
            with opened(here, options) as session, readable(planned.source) as path:
                code = Code(
                    text=statement(planned, path),
                    kind="pyspark",
                    label=f"The load of {planned.bytes / _MIB:.1f} MB into {planned.table}",
                )
                run(here, session, code, text.append)
        except StatementFailed as error:
            raise Failed(_explained(error)) from error
        except Interrupted:
            here.progress.say("What was not finished is not in the table.")
            raise
        # Spark may warn before or after it, into the same text.
        lines = reversed("".join(text).splitlines())
        done = json.loads(next(line for line in lines if line.startswith("{")))
        _tell(done, planned, session.lakehouse.name)

    return exit_status(work)


def _explained(error: StatementFailed) -> str:
    """Return an error's text without parts that only help in a notebook."""
    if error.name == "Refused":
        return error.value
    # Spark wraps the cause in its context; the cause is the last error with a class.
    causes = _CAUSE.findall(error.value)
    message = causes[-1] if causes else error.value.partition("\n")[0]
    hints = {
        "MALFORMED": "A line does not fit the others. Correct it, or see --delimiter and --format.",
        "CAST_INVALID": "A value does not fit its column in the table. Load into another table.",
        "PATH_NOT_FOUND": "The gateway does not see this file: is it on the same machine?",
    }
    hint = next((text for sign, text in hints.items() if sign in message), "")
    return f"Nothing was loaded. {message[:600].strip()} {hint}".strip()


def _tell(done: dict[str, Any], planned: Load, lakehouse: str) -> None:
    rows = _counted(done["rows"], "row")
    total = "" if done["total"] == done["rows"] else f", which has {done['total']:,} now"
    out.print(
        f"{rows} loaded into the table {planned.table} of {lakehouse}{total}.",
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
