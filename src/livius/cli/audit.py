"""``livius audit``: the audit records of all workspaces and of the installation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from livius.adapters.store import SqlStore
from livius.api.audit_document import audit_document
from livius.api.schemas import AuditDocument
from livius.cli.console import fail, out
from livius.cli.records import find_workspace, with_store
from livius.domain.audit import Action
from livius.domain.errors import Invalid
from livius.domain.ids import PrincipalId, SessionId
from livius.ports.store import AuditQuery
from livius.usecases.identity.principals import Principals


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The conditions of records; all given ones must hold."""

    workspace: str | None
    session: str | None
    actor: str | None
    action: str | None
    since: datetime | None
    lines: int


def audit(wanted: Wanted, *, as_json: bool) -> int:
    """Print the newest records, the newest last."""
    if wanted.lines < 1:
        return fail("Ask for at least one line.")

    async def work(store: SqlStore) -> None:
        records = [audit_document(one) for one in await store.audit(await _query(store, wanted))]
        for one in reversed(records):
            # Lines, not a table, for narrow terminals, pipes and grep.
            line = json.dumps(one, ensure_ascii=False) if as_json else _harmless(_line(one))
            out.print(line, markup=False, highlight=False, soft_wrap=True)

    return with_store(work)


async def _query(store: SqlStore, wanted: Wanted) -> AuditQuery:
    by: PrincipalId | None = None
    if wanted.actor is not None:
        by = (await Principals.read(store)).named(wanted.actor)
    since = wanted.since
    return AuditQuery(
        workspace=None
        if wanted.workspace is None
        else (await find_workspace(store, wanted.workspace)).id,
        session=None if wanted.session is None else SessionId(wanted.session.lower()),
        actor=by,
        action=None if wanted.action is None else _action(wanted.action),
        since=since if since is None or since.tzinfo else since.replace(tzinfo=UTC),
        limit=wanted.lines,
    )


def _action(text: str) -> Action:
    """Return the action that a text names.

    Raises:
        Invalid: there is none.
    """
    try:
        return Action(text.lower())
    except ValueError:
        raise Invalid(
            "InvalidInput",
            f"There is no action {text[:100]}. There are {', '.join(sorted(Action))}.",
        ) from None


def _line(one: AuditDocument) -> str:
    what = f"session {one['sessionId']}" if "sessionId" in one else ""
    if "statement" in one:
        what += f" statement {one['statement']}"
    parts = (
        f"{one['at'][:19].replace('T', ' ')}",
        _actor(one),
        one["action"],
        one["result"],
        one.get("target", ""),
        one.get("detail", ""),
        what,
        f"{one['times']} times more" if "times" in one else "",
        f"from {one['address']}" if one.get("address") else "",
        one.get("codeHead", "").partition("\n")[0][:80],
    )
    return "  ".join(part for part in parts if part)


def _actor(one: AuditDocument) -> str:
    match one.get("actorKind"):
        case None:
            return "-"
        case "operator":
            return f"{one['actorName']} at the machine"
        case "unproven":
            return "somebody"
        case _:
            return one["actorName"]


def _harmless(text: str) -> str:
    """Names and code are untrusted text: nothing in them may control the terminal."""
    return "".join(one if one.isprintable() else "�" for one in text)
