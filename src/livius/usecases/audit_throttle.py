"""What to write down in the audit log of an act, and how what comes often is counted.

What changes a record is written in that change's transaction: the store's methods take an entry.
What only passes by (a token given, a request refused) goes through an `AuditThrottle`, which counts
what comes often, so that nobody fills the disk with it.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final

from livius.domain.audit import Action, Actor, ActorKind, AuditEntry, actor, shortened
from livius.domain.ids import WorkspaceId
from livius.domain.principal import Principal
from livius.ports.clock import Clock
from livius.ports.store import Audit


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, and from whom, once that is proved.

    ``operator`` is the operating system's name of who gives a command at the machine itself.
    """

    address: str | None = None
    request_id: str | None = None
    caller: Principal | None = None
    operator: str | None = None


ORIGIN: Final[ContextVar[Origin]] = ContextVar("origin", default=Origin())  # noqa: B039 - frozen
"""Set by whoever takes requests, for as long as one is handled."""


def present_actor(caller: Principal | None = None) -> Actor:
    """Return who acts here and now: the given caller, else whoever the request proved to be."""
    origin = ORIGIN.get()
    who = caller or origin.caller
    if who is not None:
        return actor(who, address=origin.address, request_id=origin.request_id)
    return Actor(
        kind=ActorKind.UNPROVEN if origin.operator is None else ActorKind.OPERATOR,
        name=origin.operator,
        address=origin.address,
        request_id=origin.request_id,
    )


def act(
    clock: Clock,
    action: Action,
    target: str | None = None,
    *,
    by: Actor | None = None,
    result: str = "ok",
    detail: str | None = None,
    workspace: WorkspaceId | None = None,
) -> AuditEntry:
    """Return what to write of an act, by default of whoever the request proved to be."""
    return AuditEntry(
        at=clock.now(),
        action=action,
        workspace=workspace,
        result=result,
        actor=by or present_actor(),
        target=None if target is None else shortened(target),
        detail=None if detail is None else shortened(detail),
    )


@dataclass(slots=True)
class _Tally:
    since: float
    newest: AuditEntry
    more: int = 0


_Key = tuple[object, ...]


class AuditThrottle:
    """Writes what may come often: the first at once, equal ones after it as one line with a count.

    Equal is what has the same action, result, actor, place and target. A count is written once
    ``within`` is over, and at the gateway's end; one that is killed forgets the last counts.
    Whoever makes too many different ones is told without their targets, and all together without
    names: so the lines within the time are bounded, whatever anybody sends.
    """

    def __init__(
        self,
        store: Audit,
        clock: Clock,
        *,
        within: float = 3600.0,
        most_of_one: int = 100,
        most: int = 2000,
    ) -> None:
        self._store = store
        self._clock = clock
        self._within = within
        self._most_of_one = most_of_one
        self._most = most
        self._tallies: dict[_Key, _Tally] = {}
        self._of_one: dict[_Key, int] = {}
        self._writing = asyncio.Lock()
        """While the first entry of a kind is written, further ones wait for its result."""

    async def note(self, said: AuditEntry) -> None:
        """Write an entry, or count it.

        Nothing is counted of what was not written: as long as writing fails, each call raises.
        """
        async with self._writing:
            key = self._key(said)
            found = self._tallies.get(key)
            if found is None:
                said = self._folded(said)
                key = self._key(said)
                found = self._tallies.get(key)
            now = self._clock.monotonic()
            if found is not None and now - found.since < self._within:
                found.newest, found.more = said, found.more + 1
                return
            before = [] if found is None or not found.more else [_counted(found)]
            await self._store.note(*before, said)
            if found is None:
                who = _who(said)
                self._of_one[who] = self._of_one.get(who, 0) + 1
            self._tallies[key] = _Tally(now, said)

    async def settle(self, *, everything: bool = False) -> None:
        """Write the counts whose time is over. If that fails, they stay for the next time."""
        async with self._writing:
            now = self._clock.monotonic()
            over = {
                key: tally
                for key, tally in self._tallies.items()
                if everything or now - tally.since >= self._within
            }
            counts = [_counted(tally) for tally in over.values() if tally.more]
            if counts:
                await self._store.note(*counts)
            for key, tally in over.items():
                del self._tallies[key]
                who = _who(tally.newest)
                self._of_one[who] -= 1
                if not self._of_one[who]:
                    del self._of_one[who]

    def _folded(self, said: AuditEntry) -> AuditEntry:
        """Return a new entry, without its details once its actor has too many distinct ones."""
        if len(self._tallies) >= self._most:
            kind = said.actor.kind if said.actor else ActorKind.UNPROVEN
            said = replace(said, actor=Actor(kind=kind))
        elif self._of_one.get(_who(said), 0) < self._most_of_one:
            return said
        return replace(said, target=None, detail=None, workspace=None, lakehouse=None, session=None)

    @staticmethod
    def _key(said: AuditEntry) -> _Key:
        place = (said.workspace, said.lakehouse, said.session)
        return (said.action, said.result, *_who(said), *place, said.target, said.detail)


def _who(said: AuditEntry) -> _Key:
    by = said.actor
    return () if by is None else (by.kind, by.id, by.name, by.client_id, by.address)


def _counted(tally: _Tally) -> AuditEntry:
    return replace(tally.newest, times=tally.more)
