"""Pools of warm drivers: started in advance, for sessions that come later.

The starter pool's have the settings that all share; those of environments have the libraries of a
published version each. They are started in quiet moments, one after the other, so that no session
has to share the processor with a start. A start that hangs does not hold up those of other kinds.
When memory gets short they are given up first. A driver that ends by itself is replaced, but not
for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from livius.domain.driver import COMING_UP, Driver, Goal, Owner, Phase
from livius.domain.environment import EnvironmentVersion
from livius.domain.errors import Invalid
from livius.domain.ids import DriverId, ReplId, new_id
from livius.domain.pool import Condition, PoolKind, PoolState
from livius.domain.spark_pool import Compute, bounds_of
from livius.ports.capacity import Capacity
from livius.ports.clock import Clock
from livius.ports.store import Store

_LOOK_EVERY: Final = 1.0
_QUIET_LOOKS: Final = 2
_MOST_DEFERRALS: Final = 120
"""After so many looks without a quiet moment, the pool is filled all the same."""
_STARTS_WITHIN: Final = timedelta(seconds=90)
"""A start uses the processor for so long at most: three times what it takes on a busy machine.

One that takes longer hangs, or waits for its runtime to be built.
"""
_MOST_FAILURES: Final = 5
_FORGIVEN_AFTER: Final = 600.0
"""Failures count for so long, without the time that later starts took."""
_FIRST_PAUSE: Final = 2.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Present:
    """The drivers at one moment: all live ones, ours that are wanted, and what is missing."""

    live: Sequence[Driver]
    ours: Sequence[Driver]
    unwanted: Sequence[Driver]
    lacking: Sequence[PoolKind]


@dataclass(slots=True, kw_only=True)
class WarmPools:
    """Keeps ``size`` drivers of a runtime warm, and one for each of ``environments`` that ask.

    ``fingerprint`` stands for the settings of a driver that is started now; ``compute`` is what
    such a driver has where Spark runs in it. ``wake`` has the driver's reconciler look at one.
    """

    store: Store
    capacity: Capacity
    clock: Clock
    size: int
    environments: int = 0
    runtime: str
    fingerprint: str
    compute: Compute | None = None
    wake: Callable[[DriverId], None]
    _of_environments: Sequence[PoolKind] = field(default=(), init=False)
    """What the last look has found to be wanted."""
    _failures: dict[str, list[float]] = field(default_factory=dict, init=False)
    """The monotonic moments of ends that nobody asked for, lately, by kind.

    They are later by the time that starts took since.
    """
    _warmed: set[DriverId] = field(default_factory=set, init=False)
    """Our drivers that were warm at the last look."""
    _began: datetime = field(init=False)
    _quiet: int = field(default=0, init=False)
    _deferred: int = field(default=0, init=False)
    _hindrance: Condition = field(default=Condition.WAITING, init=False)
    """What keeps the pools from being filled, unless it is their own failures."""

    def __post_init__(self) -> None:
        self._began = self.clock.now()

    async def state(self) -> PoolState:
        """Return how the starter pool is."""
        return self._state(await self._present(), [self._common] * self.size)

    async def environments_state(self) -> PoolState:
        """Return how the warm drivers of environments are."""
        return self._state(await self._present(), self._of_environments)

    def _state(self, present: _Present, kinds: Sequence[PoolKind]) -> PoolState:
        prints = {kind.fingerprint for kind in kinds}
        ours = [one for one in present.ours if one.fingerprint in prints]
        warm = sum(one.phase is Phase.WARM for one in ours)
        lacking = [kind for kind in present.lacking if kind.fingerprint in prints]
        if not kinds:
            condition = Condition.OFF
        elif _coming_up(ours):
            condition = Condition.FILLING
        elif not lacking:
            condition = Condition.FILLED
        else:
            condition = self._pause(lacking[0]) or self._hindrance
        return PoolState(size=len(kinds), warm=warm, starting=len(ours) - warm, condition=condition)

    @property
    def _common(self) -> PoolKind:
        return PoolKind(fingerprint=self.fingerprint, runtime=self.runtime)

    async def _present(self) -> _Present:
        live = await self.store.live_drivers()
        lacking = [*[self._common] * self.size, *self._of_environments]
        ours, unwanted = [], []
        for one in live:
            if one.owner is not Owner.POOL or one.goal is not Goal.RUN:
                continue
            kind = next((of for of in lacking if of.fingerprint == one.fingerprint), None)
            if kind is None:
                unwanted.append(one)
            else:
                lacking.remove(kind)
                ours.append(one)
        return _Present(live, ours, unwanted, lacking)

    async def _wanted_of_environments(self) -> Sequence[PoolKind]:
        if not self.environments:
            return ()
        found = await self.store.warm_versions(most=self.environments)
        kinds = [await self._kind(version) for version in found]
        return [kind for kind in kinds if kind is not None]

    async def _kind(self, version: EnvironmentVersion) -> PoolKind | None:
        """Return the kind of driver that most sessions with a version want; None: they can't be."""
        found = await self.store.spark_configuration(version.workspace)
        try:
            pool, _ = found.pool_of_session(None, version.compute.pool)
            version.compute.decided_conf(local=self.compute is not None)
        except Invalid:
            return None
        return PoolKind.of_environment(self.fingerprint, version, bounds_of(pool, self.compute))

    def driver_ended(self, driver: Driver) -> None:
        """Take note of a driver that ended by itself before a session claimed it.

        One that an earlier gateway started is none of our failures: the machine may have been off.
        """
        if driver.created_at < self._began:
            return
        now = self.clock.monotonic()
        # A start that hangs takes minutes: counted, a few of them would outlast our memory.
        start = 0.0 if driver.id in self._warmed else self._age(driver).total_seconds()
        earlier = [at + start for at in self._failures.get(driver.fingerprint, ())]
        lately = [at for at in earlier if now - at < _FORGIVEN_AFTER] + [now]
        self._failures[driver.fingerprint] = lately
        if len(lately) == _MOST_FAILURES:
            _log.error(
                "pool_given_up", failures=_MOST_FAILURES, environment_version=driver.environment
            )

    def _age(self, driver: Driver) -> timedelta:
        return self.clock.now() - driver.created_at

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_EVERY)

    async def look(self) -> None:
        """Start a driver, or end some, if that is due."""
        self._of_environments = await self._wanted_of_environments()
        present = await self._present()
        for one in present.unwanted:
            await self._end(one)
        kinds = (self._common, *self._of_environments)
        prints = {kind.fingerprint for kind in kinds}
        self._failures = {of: at for of, at in self._failures.items() if of in prints}
        self._warmed = {one.id for one in present.ours if one.phase is Phase.WARM}
        starting, ours = _coming_up(present.live), _coming_up(present.ours)
        if present.ours and not self.capacity.has_room(more=0, starting=starting - ours):
            self._hindrance = Condition.NO_MEMORY
            for one in present.ours:
                await self._end(one)
        elif not self._busy(present.ours):
            await self._fill(present, starting)

    def _busy(self, drivers: Sequence[Driver]) -> int:
        """Return how many starts need the processor."""
        return sum(one.phase in COMING_UP and self._age(one) < _STARTS_WITHIN for one in drivers)

    async def _fill(self, present: _Present, starting: int) -> None:
        """Start a missing driver, if it is the moment."""
        hanging = {one.fingerprint for one in present.ours if one.phase in COMING_UP}
        due = next(
            (
                kind
                for kind in present.lacking
                if kind.fingerprint not in hanging and self._pause(kind) is None
            ),
            None,
        )
        if due is None:
            return
        # Room for a session that can't take one of ours is left.
        if not self.capacity.has_room(more=2, starting=starting):
            self._hindrance = Condition.NO_MEMORY
            return
        self._hindrance = Condition.WAITING
        if await self._is_quiet(self._busy(present.live)):
            await self._add(due)

    def _pause(self, kind: PoolKind) -> Condition | None:
        """Return the condition of a kind whose drivers have ended by themselves too lately."""
        failures = self._failures.get(kind.fingerprint)
        if not failures:
            return None
        if len(failures) >= _MOST_FAILURES:
            return Condition.GIVEN_UP
        past = self.clock.monotonic() - failures[-1]
        return Condition.FAILING if past < _FIRST_PAUSE * 2 ** len(failures) else None

    async def _is_quiet(self, starts: int) -> bool:
        _, statements = await self.store.count_live()
        self._quiet = 0 if starts or statements else self._quiet + 1
        self._deferred += 1
        return self._quiet >= _QUIET_LOOKS or self._deferred > _MOST_DEFERRALS

    async def _add(self, kind: PoolKind) -> None:
        self._deferred = 0
        driver = Driver(
            id=DriverId(new_id()),
            owner=Owner.POOL,
            session=None,
            runtime=kind.runtime,
            first_repl=ReplId(new_id()),
            created_at=self.clock.now(),
            fingerprint=kind.fingerprint,
            pooled=True,
            environment=kind.environment,
            cores=None if kind.bounds is None else kind.bounds.cores,
            memory_mb=None if kind.bounds is None else kind.bounds.memory_mb,
        )
        most = self.size if kind.environment is None else 1
        if await self.store.add_pooled(driver, most=most):
            self.wake(driver.id)

    async def _end(self, driver: Driver) -> None:
        if await self.store.end_pooled(driver.id):
            self.wake(driver.id)


def _coming_up(drivers: Sequence[Driver]) -> int:
    return sum(one.phase in COMING_UP for one in drivers)
