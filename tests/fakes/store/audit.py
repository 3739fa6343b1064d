"""The audit log, in a list."""

from collections.abc import Sequence
from datetime import datetime

from fakes.store.records import Records
from livius.domain.audit import AuditEntry, AuditRecord
from livius.ports.store import AuditQuery


class MemoryAudit(Records):
    async def note(self, *entries: AuditEntry) -> None:
        for entry in entries:
            self._write(entry)

    async def audit(self, query: AuditQuery) -> Sequence[AuditRecord]:
        found = [
            record
            for record in reversed(self._audit)
            if query.workspace in (None, record.entry.workspace)
            and query.action in (None, record.entry.action)
            and (query.since is None or record.entry.at >= query.since)
            and query.session in (None, record.entry.session)
            and (
                query.actor is None
                or (record.entry.actor is not None and record.entry.actor.id == query.actor)
            )
            and (query.before is None or record.number < query.before)
        ]
        return found[: query.limit]

    async def forget_audit(self, now: datetime) -> None:
        del now
