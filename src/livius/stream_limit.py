"""The limits on open event streams: in all, and per owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class StreamLimit:
    """Counts streams by their owners."""

    def __init__(self, *, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._of_owner: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many streams there are."""
        return self._of_owner.total()

    def has_room(self, owner: str) -> bool:
        """Tell whether an owner may open one more."""
        return self.open < self._most and self._of_owner[owner] < self._most_of_one

    @contextmanager
    def opened(self, owner: str) -> Iterator[None]:
        """Count one for as long as the block lasts."""
        self._of_owner[owner] += 1
        try:
            yield
        finally:
            self._of_owner[owner] -= 1
            if not self._of_owner[owner]:
                del self._of_owner[owner]
