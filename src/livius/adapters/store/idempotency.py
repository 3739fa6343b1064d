"""Keys of repeatable requests, in SQL: recorded together with the request's resource.

A method that makes something calls `refuse_repeat` first and `remember` last, both in its own
transaction. That no key is recorded twice is the table's primary key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from livius.adapters.store.engine import Transactions
from livius.adapters.store.schema import IDEMPOTENCY_KEYS
from livius.domain.idempotency import VALID_FOR, IdempotencyKey, KeyReused, MadeBefore
from livius.domain.ids import SessionId

_EARLIER: Final = select(IDEMPOTENCY_KEYS.c.fingerprint, IDEMPOTENCY_KEYS.c.resource).where(
    IDEMPOTENCY_KEYS.c.principal == bindparam("of"), IDEMPOTENCY_KEYS.c.key == bindparam("which")
)


def refuse_repeat(connection: Connection, key: IdempotencyKey | None) -> None:
    """Go on only if no earlier request had this key.

    Raises:
        MadeBefore: the same request had it; the exception names the resource.
        KeyReused: another request had it.
    """
    if key is None:
        return
    earlier = connection.execute(_EARLIER, {"of": key.principal, "which": key.key}).first()
    if earlier is None:
        return
    if earlier.fingerprint == key.fingerprint:
        raise MadeBefore(earlier.resource)
    raise KeyReused(
        "IdempotencyKeyReused",
        "Another request, with another path or body, had this Idempotency-Key. Send this one with "
        "a new key; a repeat has exactly the body of its first request.",
        field="Idempotency-Key",
    )


def remember(
    connection: Connection, key: IdempotencyKey | None, session: SessionId, resource: str
) -> None:
    """Record what the request with this key has made, and the session that it belongs to."""
    if key is not None:
        connection.execute(
            insert(IDEMPOTENCY_KEYS).values(
                principal=key.principal,
                key=key.key,
                fingerprint=key.fingerprint,
                session=session,
                resource=resource,
                created_at=key.at,
            )
        )


class SqlIdempotencyKeys:
    """Implements `livius.ports.store.IdempotencyKeys`."""

    _transactions: Transactions

    async def forget_idempotency_keys(self, now: datetime) -> None:
        """See the port."""
        old = IDEMPOTENCY_KEYS.c.created_at < now - VALID_FOR
        await self._transactions.execute(delete(IDEMPOTENCY_KEYS).where(old))
