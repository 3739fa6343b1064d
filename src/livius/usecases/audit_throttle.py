"""Makes entries of the audit log, and counts the frequent ones instead of writing each.

An act that changes a record is written in that change's transaction: the store's methods take an
entry. Other events (an issued token, a refused request) go through an `AuditThrottle`, so that
nobody can fill the disk with entries.
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
    """The origin of a request: its address and, once authenticated, its caller.

    ``operator`` is the operating system's name of a user who runs a command at the machine.
    """

    address: str | None = None
    request_id: str | None = None
    caller: Principal | None = None
    operator: str | None = None


ORIGIN: Final[ContextVar[Origin]] = ContextVar("origin", default=Origin())  # noqa: B039 - frozen
"""The code that receives requests sets it while a request is handled."""


def present_actor(caller: Principal | None = None) -> Actor:
    """Return the actor of the present request: the given caller, else the authenticated one."""
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
    """Return the entry for an act, by default of the request's authenticated caller."""
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
    """Writes frequent entries: the first at once, equal ones after it as one line with a count.

    Entries are equal if action, result, actor, place and target are. A count is written after
    ``within``, and at the gateway's end; a kill of the gateway loses the last counts. If an actor
    makes too many different entries, further ones are written without targets; if all actors
    together do, without names. So the number of lines in a period is bounded.
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
        """While the first entry of a kind is being written, further ones wait for the result."""

    async def note(self, said: AuditEntry) -> None:
        """Write an entry, or count it.

        An entry is counted only once an equal one was written: as long as writing fails, each call
        raises.
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
        """Write the counts whose time is over. If that fails, the next call writes them."""
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
