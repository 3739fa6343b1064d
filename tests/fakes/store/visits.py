"""Visits of the portal, in a dictionary."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from fakes.store.records import Records
from livius.domain.visit import Visit


class MemoryVisits(Records):
    async def add_visit(self, visit: Visit, *, most_of_one: int, most: int) -> None:
        own = [one for one in self._visits.values() if one.caller.oid == visit.caller.oid]
        self._leave(own, most_of_one - 1)
        self._leave(list(self._visits.values()), most - 1)
        self._visits[visit.key] = visit

    def _leave(self, visits: Sequence[Visit], number: int) -> None:
        for one in sorted(visits, key=lambda visit: visit.seen_at, reverse=True)[number:]:
            del self._visits[one.key]

    def all_visits(self) -> list[Visit]:
        """All that is kept, for tests to look at."""
        return list(self._visits.values())

    async def visit(self, key: str) -> Visit | None:
        return self._visits.get(key)

    async def touch_visit(self, key: str, *, at: datetime) -> None:
        if key in self._visits:
            self._visits[key] = dataclasses.replace(self._visits[key], seen_at=at)

    async def remove_visit(self, key: str) -> None:
        self._visits.pop(key, None)

    async def forget_visits(self, now: datetime) -> None:
        self._visits = {key: one for key, one in self._visits.items() if not one.is_over(now)}
