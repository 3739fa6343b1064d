"""The numbers of operating system users and groups, in SQL."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select

from livius.adapters.store.engine import Transactions
from livius.adapters.store.schema import NUMBERS
from livius.domain.errors import Unavailable


class SqlUids:
    """Implements `livius.ports.store.UidAllocator`. No row is ever deleted: no uid comes again."""

    _transactions: Transactions

    async def number_of(self, owner: str, among: range) -> int:
        """See the port."""

        def work(connection: Connection) -> int:
            own = select(NUMBERS.c.number).where(NUMBERS.c.owner == owner)
            if (known := connection.execute(own).scalar()) is not None:
                return int(known)
            given = NUMBERS.c.number.between(among[0], among[-1])
            last = connection.execute(select(func.max(NUMBERS.c.number)).where(given)).scalar()
            number = among[0] if last is None else int(last) + 1
            if number not in among:
                raise Unavailable(
                    "NoUserLeft",
                    f"All {len(among)} numbers for operating system users of this kind are given. "
                    "The operator names a wider range in LIVIUS_LAUNCH_UIDS.",
                )
            connection.execute(insert(NUMBERS).values(owner=owner, number=number))
            return number

        return await self._transactions.run(work)
