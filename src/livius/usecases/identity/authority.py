"""The authority's parts, its errors, and its brake on guessing.

This package decides on refusals and gives them Entra's numbers, which clients and people search
for. Cryptography is behind the ports.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from livius.domain.accounts import ClientApplication, User
from livius.domain.audit import Actor, ActorKind
from livius.domain.errors import Unauthenticated
from livius.domain.ids import PrincipalId
from livius.domain.realm import Address, Realm
from livius.ports.clock import Clock
from livius.ports.identity import (
    AssertionReplayCache,
    AssertionVerifier,
    Directory,
    IdentityStore,
    Signer,
)
from livius.usecases.audit_throttle import AuditThrottle, present_actor

_AT_ONCE: Final = 2
_WAITING: Final = 32
_STRANGERS_WAITING: Final = 8
_QUEUE_RETRY: Final = timedelta(seconds=2)


class TokenRefused(Unauthenticated):
    """The authority refuses a request.

    ``error`` is OAuth's code and ``number`` is Entra's; ``code`` spells the number as ``AADSTS…``.
    ``suberror`` tells clients how to proceed. ``retry_after`` is set where the same request may
    succeed later.
    """

    def __init__(
        self,
        number: int,
        error: str,
        message: str,
        *,
        suberror: str | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(f"AADSTS{number}", message)
        self.number = number
        self.error = error
        self.suberror = suberror
        self.retry_after = retry_after


async def present_user(store: Directory, oid: PrincipalId) -> User | None:
    """Return a user that may sign in and get tokens: None if it was removed or disabled."""
    found = await store.user(oid)
    return found if found is not None and found.disabled_at is None else None


def as_user(user: User, application: ClientApplication) -> Actor:
    """Return a user as an actor of the audit log."""
    return replace(
        present_actor(),
        kind=ActorKind.USER,
        id=user.oid,
        name=user.name,
        client_id=application.client_id,
    )


def as_application(application: ClientApplication) -> Actor:
    """Return an application that acts for itself as an actor of the audit log."""
    return replace(
        present_actor(),
        kind=ActorKind.APP,
        id=PrincipalId(application.object_id),
        name=application.name,
        client_id=application.client_id,
    )


def too_many(what: str, *, wait: timedelta) -> TokenRefused:
    """Return the refusal of a caller that has to wait."""
    seconds = max(1, math.ceil(wait.total_seconds()))
    return TokenRefused(
        90055,
        "temporarily_unavailable",
        f"{what}, then try again in {seconds} seconds.",
        retry_after=timedelta(seconds=seconds),
    )


class FailureLimit:
    """Counts recent failures by name and caller, and makes callers wait after too many.

    A stranger elsewhere can't lock a name out; callers on one machine share a count. Bounded: the
    oldest count is dropped.
    """

    def __init__(
        self,
        *,
        most: int = 10,
        within: timedelta = timedelta(minutes=1),
        remembered: int = 4096,
    ) -> None:
        self._most = most
        self._within = within.total_seconds()
        self._remembered = remembered
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, who: tuple[str, str], *, at: float) -> None:
        """Refuse if there were too many failures within the time.

        Raises:
            TokenRefused: with the time to wait.
        """
        failures = self._failures.get(who)
        while failures and failures[0] <= at - self._within:
            failures.popleft()
        if failures and len(failures) >= self._most:
            wait = timedelta(seconds=failures[0] + self._within - at)
            raise too_many("There were too many failed requests. Correct what is sent", wait=wait)

    def count(self, who: tuple[str, str], *, at: float) -> None:
        """Count a failure."""
        self._failures.setdefault(who, deque(maxlen=self._most)).append(at)
        self._failures.move_to_end(who)
        if len(self._failures) > self._remembered:
            self._failures.popitem(last=False)


class CheckQueue:
    """Lets a few slow checks run at once and a few wait; further ones are refused at once.

    Each check takes 16 MiB and a core for tens of milliseconds.
    """

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._running = asyncio.Semaphore(at_once)
        self._room = at_once + waiting

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Raises:
            TokenRefused: the queue is full; with the time after which to come back.
        """
        if not self._room:
            raise too_many("Too many sign-ins are being checked. Wait", wait=_QUEUE_RETRY)
        self._room -= 1
        try:
            async with self._running:
                yield
        finally:
            self._room += 1


@dataclass(frozen=True, slots=True)
class Guard:
    """The limits before slow checks: recent failures, and the queue."""

    checks: CheckQueue
    failures: FailureLimit = field(default_factory=FailureLimit)


def _guard() -> Guard:
    return Guard(CheckQueue(at_once=_AT_ONCE, waiting=_WAITING))


def _guard_of_strangers() -> Guard:
    return Guard(CheckQueue(at_once=1, waiting=_STRANGERS_WAITING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The parts of the embedded authority.

    ``home`` is its address where no request names one. ``pages`` is the origin of its pages for
    people: http on loopback, so that no browser warns of our certificate. ``guard`` is for known
    names. Unknown names are checked just as slowly, but behind ``strangers``, so that made-up names
    don't delay known ones.
    """

    realm: Realm
    store: IdentityStore
    used: AssertionReplayCache
    assertions: AssertionVerifier
    signer: Signer
    clock: Clock
    home: Address
    pages: str
    throttle: AuditThrottle
    guard: Guard = field(default_factory=_guard)
    strangers: Guard = field(default_factory=_guard_of_strangers)
