"""Making sessions what they are wanted to be, one step at a time.

A step reads the record afresh, looks at the driver, does the next single thing and says when to
look again. It can be cut off anywhere and repeated: whatever it starts can be found again from
the record, because a driver's folder follows from its id.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from livius.domain.activity import activity_state
from livius.domain.audit import Action, entry
from livius.domain.conf_secrets import SecretsLost, reveal
from livius.domain.digests import hash_drawn
from livius.domain.driver import DriverEnd, new_secret
from livius.domain.errors import LiviusError
from livius.domain.ids import DriverId, SessionId
from livius.domain.session import FINAL, STARTING, EndCause, Event, Goal, Phase, Session
from livius.domain.statement import Ending, Statement
from livius.ports.clock import Clock
from livius.ports.launcher import DriverState, Launcher, LaunchSpec
from livius.ports.links import Links
from livius.ports.meter import Meter
from livius.ports.notifications import Notifications
from livius.ports.store import SessionEnd, Store
from livius_agent.text import tail

_LOOK_AT_START: Final = 0.2
_LOOK_WHEN_UNLINKED: Final = 0.1
_MAX_LOG_LINES: Final = 100
_LOG_BYTES: Final = 64 * 1024
"""The log of its end is read with the session, by each list that it is in."""
_SECRETS_LOST: Final = (
    "The session's conf has secrets, which are kept in memory alone until its driver starts, and "
    "the server was started anew before that. Create the session again."
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long things may take. Smaller gives up sooner, larger leaves users waiting longer."""

    start: timedelta
    """From the request to ready."""
    redial: timedelta
    """From the loss of a link, or our own start, to the redial of a driver that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """The steps of sessions. ``started_at`` is the monotonic moment of our own start."""

    store: Store
    launcher: Launcher
    links: Links
    notifications: Notifications
    clock: Clock
    meter: Meter
    timeouts: Timeouts
    conf_secrets: MutableMapping[DriverId, Mapping[str, str]]
    started_at: float

    async def step(self, key: SessionId) -> float | None:
        """Do the next thing for a session. See `WorkQueue` for the answer."""
        session = await self.store.session(key)
        if session is None or session.phase in FINAL:
            return None
        if session.goal is Goal.STOP and session.phase is not Phase.STOPPING:
            await self.store.move_session(key, Event.STOP_BEGUN, at=self.clock.now())
            return 0.0
        match session.phase:
            case Phase.REQUESTED:
                await self.store.move_session(key, Event.LAUNCH_BEGUN, at=self.clock.now())
                return 0.0
            case Phase.LAUNCHING | Phase.STARTING:
                return await self._start(session)
            case Phase.READY:
                return await self._watch(session)
            case Phase.STOPPING:
                return await self._stop(session)
            case _:
                raise AssertionError(session.phase)

    async def _start(self, session: Session) -> float | None:
        observed = await self.launcher.observe(session.driver)
        if observed.vital is DriverState.ENDED:
            await self._end(session, observed.end)
            return None
        if observed.vital is DriverState.ABSENT:
            if session.phase is Phase.STARTING:
                await self._end(session)
                return None
            return await self._launch(session)
        waited = self.clock.now() - session.created_at
        if waited > self.timeouts.start:
            seconds = self.timeouts.start.total_seconds()
            log = await self.launcher.log_tail(session.driver)
            await self.store.request_stop(
                session.id,
                only_in=STARTING,  # it may have become ready in this moment
                end_cause=EndCause.START_TIMED_OUT,
                end_reason=f"Spark did not start within {seconds:.0f} seconds.",
                log=tail(log[-_MAX_LOG_LINES:], _LOG_BYTES),
            )
            return 0.0
        return _LOOK_AT_START

    async def _launch(self, session: Session) -> float | None:
        """Start the driver. The secret is minted here, so that only its hash is ever stored."""
        lakehouse = await self.store.lakehouse(session.lakehouse)
        if lakehouse is None:
            await self._end(session, reason="The session's lakehouse no longer exists.")
            return None
        try:
            conf = reveal(session.conf, self.conf_secrets.get(session.driver, {}))
        except SecretsLost:
            await self._end(session, reason=_SECRETS_LOST)
            return None
        secret = new_secret()
        await self.store.set_driver_secret(session.driver, hash_drawn(secret))
        try:
            places = await self.store.lakehouse_access()
            await self.launcher.publish_lakehouse_index(places)
            await self.launcher.launch(
                LaunchSpec(
                    driver=session.driver,
                    repl=session.first_repl,
                    submitter=session.submitter,
                    workspace=session.workspace,
                    lakehouse=session.lakehouse,
                    database=lakehouse.database,
                    runtime=session.runtime,
                    name=session.name,
                    conf=conf,
                    secret=secret,
                    workspaces=frozenset(
                        place.workspace for place in places if place.principal == session.submitter
                    ),
                )
            )
        except LiviusError as error:
            _log.warning("launch_refused", session=session.id, reason=error.message)
            await self._end(session, reason=error.message)
            return None
        self.conf_secrets.pop(session.driver, None)
        _log.info("driver_launched", session=session.id, driver=session.driver)
        return _LOOK_AT_START

    async def _watch(self, session: Session) -> float | None:
        """See to a ready session: nothing to do while its link is open."""
        if self.links.is_open(session.driver):
            return None
        observed = await self.launcher.observe(session.driver)
        if observed.vital is not DriverState.ALIVE:
            await self._end(session, observed.end)
            return None
        # Our own outage must not count against the driver: the wait begins with our start.
        since = max(self.started_at, self.links.last_heard(session.driver) or 0.0)
        if self.clock.monotonic() - since > self.timeouts.redial.total_seconds():
            await self.launcher.end(session.driver)
            seconds = self.timeouts.redial.total_seconds()
            await self._end(
                session,
                reason=f"The Spark driver did not dial in again within {seconds:.0f} seconds.",
            )
            return None
        return _LOOK_WHEN_UNLINKED

    async def _stop(self, session: Session) -> float | None:
        self.links.close(session.driver)
        await self.launcher.end(session.driver)
        await self._end(session)
        return None

    async def _end(
        self, session: Session, end: DriverEnd | None = None, *, reason: str | None = None
    ) -> None:
        """Record that the driver has ended, and give every open statement its end.

        ``reason`` is ours, for a driver that did not end by itself.
        """
        self.conf_secrets.pop(session.driver, None)
        await self.launcher.end(session.driver)  # sweeps what a killed supervisor left
        now = self.clock.now()
        done = await self.store.end_session(
            session.id,
            at=now,
            end=lambda present: _session_end(present, end or DriverEnd(), reason, at=now),
        )
        self.links.forget(session.driver)
        self.notifications.notify(session.id)
        if done is None:
            return
        ended, abandoned = done
        for statement in abandoned:
            self.notifications.notify((statement.repl, statement.number))
            self._note_abandoned(statement, now)
        state = activity_state(ended)
        self.meter.session_ended(state)
        _log.info(
            "session_ended",
            session=session.id,
            phase=ended.phase,
            cause=ended.end_cause,
            result=state,
            seconds=round((now - ended.created_at).total_seconds(), 3),
        )

    def _note_abandoned(self, statement: Statement, ended_at: datetime) -> None:
        started = statement.started_at or ended_at
        self.meter.statement_ended(
            statement.kind,
            "abandoned",
            waited=started - statement.created_at,
            ran=ended_at - started,
        )


def _session_end(
    session: Session, end: DriverEnd, reason: str | None, *, at: datetime
) -> SessionEnd:
    """Return what the end of a session leaves in the records."""
    cause, why = _explain(session, end, reason)
    log = tail((session.log or end.log)[-_MAX_LOG_LINES:], _LOG_BYTES)
    return SessionEnd(
        ending=Ending(
            ok=False,
            ename="SessionEnded",
            evalue=why,
            traceback=tuple(f"{line}\n" for line in log),
        ),
        cause=cause,
        reason=why,
        log=log,
        audit=entry(session, Action.SESSION_END, at=at, result=cause),
    )


def _explain(session: Session, end: DriverEnd, reason: str | None) -> tuple[EndCause, str]:
    """Say why a session ends.

    The cause that was wanted, else our reason, else what the driver said, else how it ended.
    """
    if session.end_cause is not None:
        return session.end_cause, session.end_reason or session.end_cause.value
    cause = EndCause.DRIVER_DIED if session.phase is Phase.DIED else EndCause.START_FAILED
    return cause, reason or session.end_reason or end.sentence()


async def end_orphans(store: Store, launcher: Launcher) -> int:
    """End every driver that no live session wants; return how many.

    A driver is never older than its record, so one without a record is nobody's.
    """
    ended = 0
    for driver in await launcher.known():
        session = await store.session_of_driver(DriverId(driver))
        if session is None or session.phase in FINAL:
            _log.warning("orphan_ended", driver=driver)
            await launcher.end(driver)
            ended += 1
    return ended
