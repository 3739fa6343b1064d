"""The actions of ``livius session list``, ``show``, ``stop`` and ``log``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from livius.cli.answers import Failed
from livius.cli.api import Api, NotFound
from livius.cli.work.opening import Command
from livius.cli.work.places import FoundSession, find_session, list_sessions
from livius.cli.work.results import Rows, write_table
from livius.cli.work.running import exit_status

Log = Literal["stderr", "stdout", "livy"]
_SHOWN_STATEMENTS: Final = 10
_SHOWN_CODE: Final = 60
_PIECE: Final = 1024 * 1024
_LINE_BYTES: Final = 400
"""About how long a log's line is, to find where its last lines begin."""
_WAIT: Final = 1
_TIMES: Final = (
    ("submittedDateTime", "submitted"),
    ("startDateTime", "started"),
    ("endDateTime", "ended"),
)


def list_all(*, lakehouse: str | None, ended: bool, as_json: bool) -> int:
    """List sessions."""

    def work(command: Callable[[], Command]) -> None:
        api = command().api
        found = list(list_sessions(api, lakehouse=lakehouse, live=not ended))
        if as_json:
            print(json.dumps([one.facts for one in found], ensure_ascii=False, indent=2))
            return
        if not found:
            print("There is no session." if ended else "There is no live session.")
            return
        states = _states(api, [one for one in found if one.is_live])
        lines = [
            [
                one.id,
                one.name,
                states.get(one.id, "stopping") if one.is_live else one.facts["state"],
                one.lakehouse.label,
                one.facts["submittedDateTime"],
            ]
            for one in found
        ]
        _print_table(("ID", "NAME", "STATE", "LAKEHOUSE", "SUBMITTED"), lines)

    return exit_status(work)


def show(session: str, *, lakehouse: str | None, as_json: bool) -> int:
    """Show a session and its latest statements."""

    def work(command: Callable[[], Command]) -> None:
        api = command().api
        found = find_session(api, session, lakehouse=lakehouse, live=False)
        try:
            body = api.call("GET", found.path, wait=0)
            query = {"order": "desc", "size": _SHOWN_STATEMENTS}
            page = api.call("GET", f"{found.path}/statements", query=query)
        except NotFound:  # deleted: monitoring still has it
            body, page = {}, {"statements": []}
        if as_json:
            print(json.dumps(body or found.facts, ensure_ascii=False, indent=2))
            return
        _print_facts(found, body)
        if page["statements"]:
            print(f"\nThe latest statements, of {page['total_statements']}:")
            names = ("NUMBER", "KIND", "STATE", "CODE")
            _print_table(names, [_statement(one) for one in reversed(page["statements"])])

    return exit_status(work)


def stop(names: Sequence[str], *, lakehouse: str | None) -> int:
    """End sessions."""

    def work(command: Callable[[], Command]) -> None:
        api = command().api
        # All of them first: a name that is wrong ends none.
        found = [find_session(api, name, lakehouse=lakehouse, live=True) for name in names]
        for one in found:
            api.call("DELETE", one.path)
            print(f"Stopped {one.name} ({one.id}).")

    return exit_status(work)


def log(session: str, *, lakehouse: str | None, source: Log, lines: int, follow: bool) -> int:
    """Print a session's log."""

    def work(command: Callable[[], Command]) -> None:
        here = command()
        found = find_session(here.api, session, lakehouse=lakehouse, live=False)
        path, query = _log_path(found, source)
        size = int(_size(here.api.call("GET", path, query={**query, "meta": "true"})))
        offset = max(0, size - lines * _LINE_BYTES)
        text = b""
        while offset < size:
            piece = here.api.read(path, {**query, "offset": offset, "size": _PIECE})
            if not piece:
                break
            text, offset = text + piece, offset + len(piece)
        _write(b"".join(text.splitlines(keepends=True)[-lines:]))
        while follow:
            live = _is_live(here, found)
            piece = here.api.read(path, {**query, "offset": offset, "size": _PIECE})
            offset += len(piece)
            _write(piece)
            if not piece and not live:
                return
            if not piece:
                here.interrupts.sleep(_WAIT)

    return exit_status(work)


def _states(api: Api, live: Sequence[FoundSession]) -> dict[str, str]:
    """Return the states of live sessions in the Livy API's words, which tell idle from busy."""
    states: dict[str, str] = {}
    for path in {one.lakehouse.sessions for one in live}:
        page = api.call("GET", path, query={"$top": 1000})
        states |= {item["id"]: _state(item) for item in page["items"]}
    return states


def _state(item: dict[str, Any]) -> str:
    place = item.get("tags", {}).get("QueuePosition")
    return f"queued {place}" if place else str(item["livyState"])


def _log_path(found: FoundSession, source: Log) -> tuple[str, dict[str, object]]:
    application = found.facts.get("sparkApplicationId")
    base = f"{found.monitoring_path}/applications"
    if source == "livy":
        return f"{base}/{application or 'none'}/logs", {"type": "livy"}
    if application is None:
        raise Failed(
            f"The session {found.name} has no Spark application yet, so no such log. Its start: "
            f"livius session log {found.id} --source livy"
        )
    return f"{base}/{application}/logs", {"type": "driver", "fileName": source}


def _size(meta: dict[str, Any]) -> Any:
    return meta.get("containerLogMeta", meta)["length"]


def _is_live(command: Command, found: FoundSession) -> bool:
    facts = command.api.call("GET", found.monitoring_path)
    return FoundSession(lakehouse=found.lakehouse, id=found.id, facts=facts).is_live


def _write(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _print_facts(found: FoundSession, body: dict[str, Any]) -> None:
    facts = found.facts
    known = [
        ("id", found.id),
        ("name", found.name),
        ("state", body.get("state") or facts["state"]),
        ("lakehouse", found.lakehouse.label),
        ("submitter", body.get("submitterName") or facts["submitter"]["id"]),
        *((label, facts.get(name)) for name, label in _TIMES),
        ("runtime", facts.get("runtimeVersion")),
        ("application", facts.get("sparkApplicationId")),
        ("reason", body.get("cancellationReason") or facts.get("cancellationReason")),
        *((f"error {one['errorCode']}", one["message"]) for one in body.get("errorInfo", [])),
        *((f"tag {name}", value) for name, value in body.get("tags", {}).items()),
    ]
    shown = [(label, value) for label, value in known if value]
    width = max(len(label) for label, _ in shown)
    for label, value in shown:
        print(f"{label:<{width}}  {value}")


def _statement(one: dict[str, Any]) -> list[str]:
    failed = one.get("output", {}).get("status") == "error" and one["state"] == "available"
    first = one["code"].strip().partition("\n")[0]
    code = first if len(first) <= _SHOWN_CODE else f"{first[:_SHOWN_CODE]}…"
    return [str(one["id"]), one["kind"], "failed" if failed else one["state"], code]


def _print_table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    fields = [{"name": name, "type": "string"} for name in names]
    write_table(Rows(fields=fields, data=lines), sys.stdout)
