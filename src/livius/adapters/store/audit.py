"""The audit log, in SQL. Entries are written in the transaction of their act."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select

from livius.adapters.store.engine import Transactions
from livius.adapters.store.schema import AUDIT
from livius.domain.audit import Action, Actor, ActorKind, AuditEntry, AuditRecord
from livius.ports.store import AuditQuery

_INSERT: Final = insert(AUDIT)
_ACTOR: Final = ("id", "name", "kind", "client_id", "address", "request_id")


def write(connection: Connection, entry: AuditEntry | None, keep: timedelta) -> None:
    """Write an entry, if it isn't None. It can't be changed before ``keep`` has passed."""
    if entry is None:
        return
    by = entry.actor
    connection.execute(
        _INSERT,
        {
            "at": entry.at,
            "kept_until": entry.at + keep,
            "action": entry.action,
            "workspace": entry.workspace,
            "lakehouse": entry.lakehouse,
            "session": entry.session,
            "result": entry.result,
            "target": entry.target,
            "detail": entry.detail,
            "times": entry.times,
            "code_hash": entry.code_hash,
            "code_head": entry.code_head,
            **{f"actor_{name}": getattr(by, name) if by else None for name in _ACTOR},
        },
    )


def write_if(
    done: bool,  # noqa: FBT001 - what it is about
    connection: Connection,
    entry: AuditEntry | None,
    keep: timedelta,
) -> bool:
    """Write an entry if ``done``; return ``done``."""
    if done:
        write(connection, entry, keep)
    return done


class SqlAudit:
    """Implements `livius.ports.store.Audit`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def note(self, *entries: AuditEntry) -> None:
        """See the port."""

        def work(connection: Connection) -> None:
            for entry in entries:
                write(connection, entry, self._keep_audit)

        await self._transactions.run(work)

    async def audit(self, query: AuditQuery) -> Sequence[AuditRecord]:
        """See the port."""
        column = AUDIT.c
        conditions = [
            column[name] == wanted
            for name, wanted in (
                ("workspace", query.workspace),
                ("session", query.session),
                ("actor_id", query.actor),
                ("action", query.action),
            )
            if wanted is not None
        ]
        if query.since is not None:
            conditions.append(column.at >= query.since)
        if query.before is not None:
            conditions.append(column.number < query.before)
        wanted = select(AUDIT).where(*conditions).order_by(column.number.desc()).limit(query.limit)
        return await self._transactions.run(
            lambda connection: [_record(row) for row in connection.execute(wanted)]
        )

    async def forget_audit(self, now: datetime) -> None:
        """See the port."""
        await self._transactions.execute(delete(AUDIT).where(AUDIT.c.kept_until < now))


def _record(row: Row[Any]) -> AuditRecord:
    values = row._asdict()
    number = values.pop("number")
    del values["kept_until"]
    of_actor = {name: values.pop(f"actor_{name}") for name in _ACTOR}
    by = None
    if of_actor["kind"] is not None:
        by = Actor(**{**of_actor, "kind": ActorKind(of_actor["kind"])})
    values["action"] = Action(values["action"])
    return AuditRecord(number=number, entry=AuditEntry(**values, actor=by))
