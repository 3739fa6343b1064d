"""Making drivers what they are wanted to be, one step at a time.

A step reads the record afresh, looks at the driver, does the next single thing and says when to
look again. It can be cut off anywhere and repeated: whatever it starts can be found again from
the record, because a driver's folder follows from its id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from livius.domain.digests import hash_drawn
from livius.domain.driver import (
    LIVE,
    Driver,
    DriverEnd,
    Event,
    Goal,
    Owner,
    Phase,
    new_secret,
)
from livius.domain.environment import PublishState
from livius.domain.errors import LiviusError
from livius.domain.ids import DriverId, new_id
from livius.domain.pool import settable
from livius.domain.session import STARTING, EndCause, Session
from livius.ports.clock import Clock
from livius.ports.launcher import DriverState, Launcher, LaunchSpec
from livius.ports.links import Links
from livius.ports.store import Store
from livius.reconcile.runtimes import RuntimeBuilds
from livius.reconcile.sessions import LOG_BYTES, MAX_LOG_LINES, SessionSteps, session_end
from livius_agent.text import tail

_LOOK_AT_START: Final = 0.2
_LOOK_AT_PUBLISH: Final = 0.5
_LOOK_WHEN_UNLINKED: Final = 0.1
_BINDS_WITHIN: Final = timedelta(seconds=30)
_LOOK_AT_BINDING: Final = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long things may take. Smaller gives up sooner, larger leaves users waiting longer."""

    start: timedelta
    """From the launch to ready."""
    redial: timedelta
    """From the loss of a link, or our own start, to the redial of a driver that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverReconciler:
    """The steps of drivers. ``started_at`` is the monotonic moment of our own start.

    ``room_made`` is called at each driver's end. ``pool_driver_ended`` is called for each
    driver of the pool that ended without being asked to.
    """

    store: Store
    launcher: Launcher
    links: Links
    clock: Clock
    timeouts: Timeouts
    sessions: SessionSteps
    builds: RuntimeBuilds
    started_at: float
    wake: Callable[[DriverId], None] = lambda _: None
    room_made: Callable[[], None] = lambda: None
    pool_driver_ended: Callable[[Driver], None] = lambda _: None

    async def step(self, key: DriverId) -> float | None:
        """Do the next thing for a driver. See `WorkQueue` for the answer."""
        driver = await self.store.driver(key)
        if driver is None or driver.phase not in LIVE:
            return None
        if driver.goal is Goal.END and driver.phase is not Phase.ENDING:
            await self.store.move_driver(key, Event.END_BEGUN, at=self.clock.now())
            return 0.0
        delay: float | None = None
        match driver.phase:
            case Phase.QUEUED:
                pass  # the session queue admits it
            case Phase.REQUESTED:
                delay = await self._begin(driver)
            case Phase.LAUNCHING | Phase.STARTING:
                delay = await self._start(driver)
            case Phase.WARM | Phase.READY:
                delay = await self._watch(driver)
            case Phase.ENDING:
                self.links.close(driver.id)
                await self._end(driver)
            case _:
                raise AssertionError(driver.phase)
        return delay

    async def _begin(self, driver: Driver) -> float | None:
        """Begin the launch, once its runtime and its environment's libraries are there."""
        if (reason := self.builds.failure(driver.id)) is not None:
            await self._end(driver, reason=reason)
            return None
        if not self.builds.is_built(driver):
            return None
        session = await self._session(driver)
        if session is not None and session.environment is not None:
            publish = await self.store.publish(session.environment)
            if publish is not None and publish.is_on_its_way:
                return _LOOK_AT_PUBLISH
            if publish is None or publish.state is not PublishState.SUCCEEDED:
                why = "It was deleted." if publish is None else publish.why
                await self._end(driver, reason=f"The environment was not published. {why}")
                return None
        await self.store.move_driver(driver.id, Event.LAUNCH_BEGUN, at=self.clock.now())
        return 0.0

    async def _start(self, driver: Driver) -> float | None:
        observed = await self.launcher.observe(driver.id)
        if observed.vital is DriverState.ENDED:
            await self._end(driver, observed.end)
            return None
        if observed.vital is DriverState.ABSENT:
            if driver.phase is Phase.STARTING:
                await self._end(driver)
                return None
            return await self._launch(driver)
        if self.clock.now() - driver.created_at > self.timeouts.start:
            await self._give_up_start(driver)
            return 0.0
        return _LOOK_AT_START

    async def _give_up_start(self, driver: Driver) -> None:
        seconds = self.timeouts.start.total_seconds()
        reason = f"Spark did not start within {seconds:.0f} seconds."
        if driver.session is None:
            await self.store.end_pooled(driver.id, reason=reason)
            return
        log = await self.launcher.log_tail(driver.id)
        await self.store.request_stop(
            driver.session,
            only_in=STARTING,  # it may have become ready in this moment
            end_cause=EndCause.START_TIMED_OUT,
            end_reason=reason,
            log=tail(log[-MAX_LOG_LINES:], LOG_BYTES),
        )

    async def _launch(self, driver: Driver) -> float | None:
        """Start the driver. The secret is minted here, so that only its hash is ever stored."""
        session = await self._session(driver)
        publish = driver.environment and await self.store.publish(driver.environment)
        secret = new_secret()
        await self.store.note_launch(driver.id, hash_drawn(secret), at=self.clock.now())
        try:
            await self.launcher.publish_lakehouse_index(await self.store.lakehouse_access())
            await self.launcher.launch(
                LaunchSpec(
                    driver=driver.id,
                    repl=driver.first_repl,
                    runtime=driver.runtime,
                    secret=secret,
                    binding=None if session is None else await self.sessions.binding(session),
                    environment=publish.version if publish else None,
                    cores=driver.cores,
                    memory_mb=driver.memory_mb,
                )
            )
        except LiviusError as error:
            _log.warning("launch_refused", driver=driver.id, reason=error.message)
            await self._end(driver, reason=error.message)
            return None
        if session is not None:
            self.sessions.has_its_conf(session.id)
        _log.info("driver_launched", driver=driver.id, owner=driver.owner, session=driver.session)
        return _LOOK_AT_START

    async def _session(self, driver: Driver) -> Session | None:
        return None if driver.session is None else await self.store.session(driver.session)

    async def _watch(self, driver: Driver) -> float | None:
        """See to a driver that runs: nothing to do while its link is open, but to bind it."""
        if self.links.is_open(driver.id):
            is_claimed = driver.phase is Phase.WARM and driver.owner is Owner.SESSION
            return await self._bind(driver) if is_claimed else None
        observed = await self.launcher.observe(driver.id)
        if observed.vital is not DriverState.ALIVE:
            await self._end(driver, observed.end)
            return None
        # Our own outage must not count against the driver: the wait begins with our start.
        since = max(self.started_at, self.links.last_heard(driver.id) or 0.0)
        if self.clock.monotonic() - since > self.timeouts.redial.total_seconds():
            seconds = self.timeouts.redial.total_seconds()
            await self._end(
                driver,
                reason=f"The Spark driver did not dial in again within {seconds:.0f} seconds.",
            )
            return None
        return _LOOK_WHEN_UNLINKED

    async def _bind(self, driver: Driver) -> float | None:
        """Bind a driver of the pool to the session that has claimed it.

        The driver answers by `Ready`. Sent again, the message does no harm.
        """
        session = await self._session(driver)
        if session is None or self.clock.now() - session.created_at > _BINDS_WITHIN:
            seconds = _BINDS_WITHIN.total_seconds()
            return await self._give_up(driver, f"It was not bound within {seconds:.0f} seconds.")
        try:
            await self.launcher.publish_lakehouse_index(await self.store.lakehouse_access())
            binding = await self.sessions.binding(session)
            # The rest is its environment's, and the driver began with it.
            binding = replace(binding, conf=settable(binding.conf))
            self.links.send(driver.id, await self.launcher.bind(driver.id, binding))
        except LiviusError as error:
            return await self._give_up(driver, error.message)
        return _LOOK_AT_BINDING

    async def _give_up(self, driver: Driver, reason: str) -> float | None:
        """End a driver that can't be bound, unless it has just said that it is."""
        present = await self.store.driver(driver.id)
        if present is None or present.phase is not Phase.WARM:
            return 0.0
        await self._end(present, reason=reason)
        return None

    async def _end(
        self, driver: Driver, end: DriverEnd | None = None, *, reason: str | None = None
    ) -> None:
        """Record that the driver has ended, with what follows from that.

        ``reason`` is ours, for a driver that did not end by itself.
        """
        await self.launcher.end(driver.id)  # sweeps what a killed supervisor left
        now = self.clock.now()
        how = end or DriverEnd()
        wanted = driver.goal is Goal.END and driver.end_reason is None
        done = await self.store.end_driver(
            driver.id,
            at=now,
            reason=None if wanted else reason or driver.end_reason or how.sentence(),
            end=lambda session: session_end(session, how, reason, at=now),
            instead=_instead(driver, now) if driver.pooled else None,
        )
        self.links.forget(driver.id)
        if done is None:
            return
        self.room_made()
        if done.driver.owner is Owner.POOL and not wanted:
            _log.warning("pool_driver_ended", driver=driver.id, reason=done.driver.end_reason)
            self.pool_driver_ended(done.driver)
        if done.instead is not None:
            self.wake(done.instead.id)
        if done.session is not None:
            self.sessions.note_end(done.session, tuple(done.abandoned), now)


def _instead(driver: Driver, at: datetime) -> Driver:
    """Return a new driver for the session that this one was to be bound to, if any was."""
    return Driver(
        id=DriverId(new_id()),
        owner=Owner.SESSION,
        session=driver.session,
        runtime=driver.runtime,
        first_repl=driver.first_repl,
        created_at=at,
        environment=driver.environment,
        cores=driver.cores,
        memory_mb=driver.memory_mb,
    )


async def end_orphans(store: Store, launcher: Launcher) -> int:
    """End every driver that has no live record; return how many.

    A driver is never older than its record, so one without a record is nobody's.
    """
    ended = 0
    for key in await launcher.known():
        driver = await store.driver(DriverId(key))
        if driver is None or driver.phase not in LIVE:
            _log.warning("orphan_ended", driver=key)
            await launcher.end(key)
            ended += 1
    return ended
