"""The numbers of operating system users and groups, in SQL."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, literal, select

from livius.adapters.store.engine import Transactions
from livius.adapters.store.schema import NUMBERS
from livius.domain.errors import Unavailable


class SqlUids:
    """Implements `livius.ports.store.UidAllocator`.

    No row is ever deleted, so no uid is used twice.
    """

    _transactions: Transactions

    async def number_of(self, owner: str, among: range) -> int:
        """See the port."""
        own = select(NUMBERS.c.number).where(NUMBERS.c.owner == owner)
        last = func.coalesce(func.max(NUMBERS.c.number), among[0] - 1)
        following = (
            select(literal(owner), last + 1)
            .where(NUMBERS.c.number.between(among[0], among[-1]))
            .having(last < among[-1])
        )
        give = insert(NUMBERS).from_select(["owner", "number"], following)

        def work(connection: Connection) -> int:
            for query in (own, give.returning(NUMBERS.c.number), own):  # meanwhile it may be given
                if (number := connection.execute(query).scalar()) is not None:
                    return int(number)
            raise Unavailable(
                "NoUserLeft",
                f"All {len(among)} numbers for operating system users of this kind are given. "
                "The operator names a wider range in LIVIUS_LAUNCH_UIDS.",
            )

        return await self._transactions.run(work, sees_taken=True)
