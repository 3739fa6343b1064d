"""All records in one database."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from livius.adapters.store.activities import SqlActivities
from livius.adapters.store.audit import SqlAudit
from livius.adapters.store.catalog import SqlCatalog
from livius.adapters.store.drivers import SqlDrivers
from livius.adapters.store.engine import Transactions
from livius.adapters.store.environments import SqlEnvironments
from livius.adapters.store.idempotency import SqlIdempotencyKeys
from livius.adapters.store.identity import SqlIdentity
from livius.adapters.store.operations import SqlOperations
from livius.adapters.store.outlines import SqlOutlines
from livius.adapters.store.personal_tokens import SqlPersonalTokens
from livius.adapters.store.portal_sessions import SqlPortalSessions
from livius.adapters.store.repls import SqlRepls
from livius.adapters.store.schema import LAKEHOUSES, ROLES, WORKSPACES
from livius.adapters.store.sessions import SqlSessions
from livius.adapters.store.spark_settings import SqlSparkConfigurations
from livius.adapters.store.statements import SqlStatements
from livius.adapters.store.uids import SqlUids


class SqlStore(
    SqlSessions,
    SqlDrivers,
    SqlActivities,
    SqlAudit,
    SqlStatements,
    SqlOutlines,
    SqlRepls,
    SqlCatalog,
    SqlIdentity,
    SqlPersonalTokens,
    SqlPortalSessions,
    SqlIdempotencyKeys,
    SqlUids,
    SqlOperations,
    SqlEnvironments,
    SqlSparkConfigurations,
):
    """Implements `livius.ports.store.Store` and `livius.ports.identity.IdentityStore`."""

    def __init__(
        self, transactions: Transactions, *, keep_audit: timedelta = timedelta(days=365)
    ) -> None:
        self._transactions = transactions
        self._keep_audit = keep_audit
        self._places_version = transactions.changes_of(WORKSPACES, LAKEHOUSES, ROLES)

    async def ping(self) -> None:
        """See the port."""
        await self._transactions.execute(text("SELECT 1"))

    def close(self) -> None:
        """Finish what is queued, then close."""
        self._transactions.close()
