"""The records in dictionaries. Held to the same contract tests as the real store."""

from fakes.store.activities import MemoryActivities
from fakes.store.audit import MemoryAudit
from fakes.store.catalog import MemoryCatalog
from fakes.store.personal_tokens import MemoryPersonalTokens
from fakes.store.portal_sessions import MemoryPortalSessions
from fakes.store.statements import MemoryStatements


class MemoryStore(
    MemoryActivities,
    MemoryAudit,
    MemoryStatements,
    MemoryCatalog,
    MemoryPersonalTokens,
    MemoryPortalSessions,
):
    async def ping(self) -> None:
        return
