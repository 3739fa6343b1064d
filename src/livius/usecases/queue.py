"""The places of sessions that wait for room, and the reason why they wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from livius.domain.errors import Exhausted, Unavailable
from livius.domain.ids import SessionId
from livius.domain.messages import Message
from livius.domain.session import Phase, Session
from livius.usecases.context import Context

_STARTS_NOW: Final = Message("There is room again: the first one starts now.")


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """A place in the queue, from 1, of so many; ``reason`` tells why the first one waits."""

    place: int
    of: int
    reason: str

    @property
    def position(self) -> str:
        """Return the place in words, such as "3 of 12"."""
        return f"{self.place} of {self.of}"


async def queue_places(
    context: Context, sessions: Iterable[Session]
) -> Mapping[SessionId, QueuePlace]:
    """Return the places of the sessions that are queued.

    The reason is that of this moment, also after a restart.
    """
    wanted = {one.id for one in sessions if one.phase is Phase.REQUESTED}
    if not wanted:
        return {}
    queue, found = await context.store.queue()
    if found is None:
        return {}
    reason: str = _STARTS_NOW
    try:
        context.capacity.admit(found)
    except (Exhausted, Unavailable) as error:
        reason = error.message
    return {
        session: QueuePlace(place, len(queue), reason)
        for place, session in enumerate(queue, 1)
        if session in wanted
    }


async def count_queued(context: Context) -> int:
    """Return how many sessions wait for room."""
    queue, _found = await context.store.queue()
    return len(queue)
