"""Personal access tokens, in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from livius.adapters.store.audit import write, write_if
from livius.adapters.store.engine import Transactions
from livius.adapters.store.schema import PERSONAL_TOKENS
from livius.domain.audit import AuditEntry
from livius.domain.personal_token import PersonalToken

_BY_DIGEST = select(PERSONAL_TOKENS).where(PERSONAL_TOKENS.c.digest == bindparam("wanted"))


class SqlPersonalTokens:
    """Implements `livius.ports.store.PersonalTokens`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def add_personal_token(
        self, token: PersonalToken, *, audit: AuditEntry | None = None
    ) -> None:
        """See the port."""
        values = {**dataclasses.asdict(token), "scopes": list(token.scopes)}

        def work(connection: Connection) -> None:
            connection.execute(insert(PERSONAL_TOKENS).values(values))
            write(connection, audit, self._keep_audit)

        await self._transactions.run(work)

    async def personal_token(self, digest: str) -> PersonalToken | None:
        """See the port."""
        row = await self._transactions.run(
            lambda connection: connection.execute(_BY_DIGEST, {"wanted": digest}).first()
        )
        return _token_of(row) if row else None

    async def list_personal_tokens(self) -> Sequence[PersonalToken]:
        """See the port."""
        query = select(PERSONAL_TOKENS).order_by(PERSONAL_TOKENS.c.created_at, PERSONAL_TOKENS.c.id)
        return await self._transactions.run(
            lambda connection: [_token_of(row) for row in connection.execute(query)]
        )

    async def remove_personal_token(self, token: str, *, audit: AuditEntry | None = None) -> bool:
        """See the port."""
        query = delete(PERSONAL_TOKENS).where(PERSONAL_TOKENS.c.id == token)
        return await self._transactions.run(
            lambda connection: write_if(
                connection.execute(query).rowcount > 0, connection, audit, self._keep_audit
            )
        )


def _token_of(row: Row[Any]) -> PersonalToken:
    values = row._asdict()
    return PersonalToken(**{**values, "scopes": tuple(values["scopes"])})
