"""The records.

Each method is one transaction. Every update names the phases that it may leave; a method that
finds the record elsewhere returns None (or False) and changes nothing, so that two callers
can never both believe to have made the same step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from livius.domain.activity import Activity, ActivityState, Order, Position
from livius.domain.audit import Action, AuditEntry, AuditRecord
from livius.domain.driver import Driver
from livius.domain.driver import Event as DriverEvent
from livius.domain.high_concurrency import HighConcurrencySession
from livius.domain.idempotency import IdempotencyKey
from livius.domain.ids import (
    DriverId,
    EnvironmentVersionId,
    HighConcurrencyId,
    LakehouseId,
    PrincipalId,
    ReplId,
    SessionId,
    StatementNumber,
    WorkspaceId,
)
from livius.domain.jobs import StatementJobs
from livius.domain.lakehouse import Role, Workspace
from livius.domain.personal_token import PersonalToken
from livius.domain.portal_session import PortalSession
from livius.domain.principal import Principal
from livius.domain.repl import Repl
from livius.domain.session import EndCause, Session
from livius.domain.session import Phase as SessionPhase
from livius.domain.statement import Ending, Kind, Statement
from livius.domain.statement import Event as StatementEvent
from livius.ports.capacity import Occupancy
from livius.ports.catalog import Catalog
from livius.ports.environments import Environments
from livius.ports.operations import Operations
from livius.ports.outlines import Outlines
from livius.ports.spark_settings import SparkConfigurations


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStatement:
    """The fields from which `Store.add_statement` makes a statement."""

    session: SessionId
    repl: ReplId
    kind: Kind
    code: str
    source_id: str | None
    at: datetime
    key: IdempotencyKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The wish of a new session for a driver of the pool.

    The driver must have the ``fingerprint``, and the libraries of the session's ``environment`` or
    none. If there is none, the session gets the tags ``missed``.
    """

    fingerprint: str
    environment: EnvironmentVersionId | None = None
    missed: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverEnded:
    """What came of a driver's end.

    ``session`` is the one that ended with it, with the statements that were ``abandoned``.
    ``instead`` is the new driver of a session that goes on.
    """

    driver: Driver
    session: Session | None = None
    abandoned: Sequence[Statement] = ()
    instead: Driver | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnd:
    """The changes of a session's end: to its record, its open statements and the audit log.

    None and empty values leave the record's.
    """

    ending: Ending
    cause: EndCause | None = None
    reason: str | None = None
    log: tuple[str, ...] = ()
    audit: AuditEntry | None = None


class Sessions(Protocol):
    """Sessions."""

    async def add_session(
        self,
        session: Session,
        driver: Driver,
        *,
        admit: Callable[[Occupancy], bool] = lambda _: True,
        claim: Claim | None = None,
        audit: AuditEntry | None = None,
        key: IdempotencyKey | None = None,
    ) -> Session:
        """Insert a session with its driver and its audit entry; return it as inserted.

        With ``claim`` it gets a driver of the pool in place of ``driver``, if one is warm: two
        sessions never get the same one. ``admit`` is called inside the transaction, off the event
        loop; if it raises, nothing is inserted. So two sessions can't both take the last free
        place. If it returns False, the driver is queued.

        Raises:
            MadeBefore: a session was inserted with this key before.
            KeyReused: the key came with another request before.
        """
        ...

    async def session(self, session: SessionId) -> Session | None:
        """Return a session, deleted or not."""
        ...

    async def list_sessions(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, *, skip: int, top: int
    ) -> tuple[Sequence[Session], int]:
        """Return one page of a lakehouse's undeleted sessions, newest first, and their number."""
        ...

    async def live_sessions(self) -> Sequence[SessionId]:
        """Return every session that is not in a final phase."""
        ...

    async def count_live(self) -> tuple[Mapping[str, int], int]:
        """Return how many sessions are in each live phase, and how many statements are open."""
        ...

    async def annotate_session(self, session: SessionId, **changes: Any) -> None:
        """Set fields of a live session that don't change its phase."""
        ...

    async def narrow_token_principal(self, session: SessionId, caller: Principal) -> None:
        """Narrow the token principal of a session: see `Session.narrowed_by`."""
        ...

    async def request_stop(
        self,
        session: SessionId,
        *,
        only_in: frozenset[SessionPhase] = frozenset(SessionPhase),
        audit: AuditEntry | None = None,
        **changes: Any,
    ) -> Session | None:
        """Set the goal of a live session to stop, with further fields.

        The first cause stays: fields of an earlier call are not overwritten, but a deletion mark
        is always set. None if there is no such session, or it is in none of the phases
        ``only_in``.
        """
        ...

    async def stop_idle(
        self, *, now: datetime, reason: Callable[[Session], str]
    ) -> Sequence[DriverId]:
        """Do `request_stop` to each ready session that idled too long; return their drivers.

        One that got a statement, or was kept alive, in the same moment is left alone.
        """
        ...

    async def set_effective_conf(self, session: SessionId, conf: Mapping[str, str]) -> None:
        """Store the whole conf of a session's Spark, in place of the stored one."""
        ...

    async def effective_conf(self, session: SessionId) -> Mapping[str, str]:
        """Return that conf; empty until Spark has reported it."""
        ...

    async def touch(self, session: SessionId, *, at: datetime) -> bool:
        """Note activity: the idle timeout counts from here. False if it ends, or has ended."""
        ...

    async def ended_before(self, moment: datetime) -> Sequence[Session]:
        """Return sessions in a final phase whose end lies before the moment."""
        ...

    async def remove_session(self, session: SessionId) -> None:
        """Delete an ended session with all that belongs to it."""
        ...


class Drivers(Protocol):
    """Drivers. What happens to a session's driver happens to the session in the same step."""

    async def driver(self, driver: DriverId) -> Driver | None:
        """Return a driver."""
        ...

    async def live_drivers(self) -> Sequence[Driver]:
        """Return every driver that has not ended."""
        ...

    async def drivers_to_end(self) -> Sequence[DriverId]:
        """Return live drivers whose goal is to end and that are not ending yet."""
        ...

    async def drivers_of(self, session: SessionId) -> Sequence[DriverId]:
        """Return all drivers that a session ever had."""
        ...

    async def note_launch(self, driver: DriverId, secret_hash: str, *, at: datetime) -> None:
        """Replace the hash of a driver's link secret; the time for its start begins now."""
        ...

    async def move_driver(
        self, driver: DriverId, event: DriverEvent, *, at: datetime, **changes: Any
    ) -> tuple[Driver, Session | None] | None:
        """Apply an event to a driver, and what follows from it to its session, with ``changes``.

        Not for the end: see `end_driver`. Returns both as they are then, without the session if it
        did not move. None if the driver was not in a phase that the event leaves.
        """
        ...

    async def end_driver(
        self,
        driver: DriverId,
        *,
        at: datetime,
        reason: str | None,
        end: Callable[[Session], SessionEnd],
        instead: Driver | None = None,
    ) -> DriverEnded | None:
        """Record the end of a driver, of its session, and of each open statement.

        ``end`` is called with the session in its final phase, inside the transaction: a cause
        that was written a moment before is the one that counts. The audit log records the end of
        each statement, too. ``reason`` is stored with the driver.

        A session that is still wanted, and to which this driver of the pool was not bound yet,
        goes on with the driver ``instead``.

        One transaction: no statement can slip in between and wait for ever. None if the driver had
        ended already.
        """
        ...

    async def admit_next(
        self, has_room: Callable[[Occupancy], bool], *, at: datetime
    ) -> Driver | None:
        """Admit the driver that has been queued for longest; its start counts from then.

        ``has_room`` is called inside the transaction, off the event loop. None: none is queued, or
        there is no room.
        """
        ...

    async def queue(self) -> tuple[Sequence[SessionId], Occupancy | None]:
        """Return the sessions whose drivers are queued, in order, and what the first one finds."""
        ...

    async def add_pooled(self, driver: Driver, *, most: int) -> bool:
        """Insert a driver of the pool, unless ``most`` of its kind are there that nobody claimed.

        Nor is it inserted if the version is gone whose libraries it is to have.
        """
        ...

    async def end_pooled(self, driver: DriverId, *, reason: str | None = None) -> bool:
        """Set the goal of a driver to end, unless it has been claimed.

        ``reason`` is stored, of one that is to end because something is wrong with it.
        """
        ...

    async def pooled_ended_before(self, moment: datetime) -> Sequence[DriverId]:
        """Return drivers that nobody claimed and that ended before the moment."""
        ...

    async def forget_pooled(self, driver: DriverId) -> None:
        """Delete the record of such a driver."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityQuery:
    """The conditions of a list of activities; None means any.

    All of them must hold. Moments are inclusive at both ends. ``text`` is a part of the name, in
    any case. The list begins behind ``after``.
    """

    workspaces: frozenset[WorkspaceId]
    lakehouse: LakehouseId | None = None
    states: frozenset[ActivityState] | None = None
    submitter: PrincipalId | None = None
    submitted_from: datetime | None = None
    submitted_until: datetime | None = None
    ended_from: datetime | None = None
    ended_until: datetime | None = None
    text: str | None = None
    after: Position | None = None
    order: Order = Order.STARTED
    descending: bool = True
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundActivity:
    """The records that an activity's path names, and the caller's role."""

    workspace: Workspace | None
    role: Role | None
    activity: Activity | None


class Activities(Protocol):
    """Sessions as monitoring sees them: deleted ones too."""

    async def find_activity(
        self, workspace: WorkspaceId, session: SessionId | None, principal: PrincipalId
    ) -> FoundActivity:
        """Return the workspace, a principal's role in it, and one of its activities."""
        ...

    async def activities(self, query: ActivityQuery) -> Sequence[Activity]:
        """Return up to ``limit`` activities, by default the newest first.

        Stable while others are added: a page begins behind a position, never at a count.
        """
        ...

    async def count_activities(self, query: ActivityQuery) -> int:
        """Count what the conditions find, up to ``limit``."""
        ...

    async def first_started_at(self, session: SessionId) -> datetime | None:
        """Return when the first of a session's statements began to run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """The conditions of a list of audit records; None means any."""

    workspace: WorkspaceId | None = None
    session: SessionId | None = None
    actor: PrincipalId | None = None
    action: Action | None = None
    since: datetime | None = None
    before: int | None = None
    limit: int


class Audit(Protocol):
    """The audit log.

    Most entries are written by the methods whose acts they record: such a method writes its
    ``audit`` in its own transaction, if it changed something.
    """

    async def note(self, *entries: AuditEntry) -> None:
        """Write entries for acts that no other method performs."""
        ...

    async def audit(self, query: AuditQuery) -> Sequence[AuditRecord]:
        """Return up to ``limit`` records, newest first, with numbers below ``before``."""
        ...

    async def forget_audit(self, now: datetime) -> None:
        """Delete records whose retention has ended.

        No other record can be deleted, and none changed.
        """
        ...


class Statements(Protocol):
    """Statements. ``(repl, number)`` is the key; numbers count from 0 without gaps."""

    async def add_statement(
        self, new: NewStatement, *, claim: bool, audit: AuditEntry | None = None
    ) -> Statement | None:
        """Insert the next statement of a repl, and note activity of its session.

        With ``claim``, it is running at once if nothing else of its repl is open. The audit entry
        gets the number as its target. Returns None
        if the session or the repl no longer takes statements.

        Raises:
            MadeBefore: a statement was inserted with this key before; its number is the resource.
            KeyReused: the key came with another request before.
        """
        ...

    async def claim_next(self, repl: ReplId, *, at: datetime) -> Statement | None:
        """Move the repl's first waiting statement to running, if none is active in it."""
        ...

    async def statement(self, repl: ReplId, number: StatementNumber) -> Statement | None:
        """Return one statement."""
        ...

    async def list_statements(
        self, repl: ReplId, *, skip: int | None, top: int, newest_first: bool = False
    ) -> tuple[Sequence[Statement], int]:
        """Return one page of a repl's statements in order, and their number.

        Without ``skip``, it is the last ones.
        """
        ...

    async def open_statements(self, driver: DriverId) -> Sequence[Statement]:
        """Return the driver's statements that are not final, in order."""
        ...

    async def open_numbers(self, session: SessionId) -> Sequence[tuple[ReplId, StatementNumber]]:
        """Return the repls and numbers of a session's statements that are not final, in order."""
        ...

    async def busy(self, sessions: Sequence[SessionId]) -> frozenset[SessionId]:
        """Return those of the sessions that have an open statement."""
        ...

    async def move_statement(
        self,
        repl: ReplId,
        number: StatementNumber,
        event: StatementEvent,
        *,
        at: datetime,
        ending: Ending | None = None,
        by: str | None = None,
        audit: AuditEntry | None = None,
    ) -> Statement | None:
        """Apply an event; None if the statement was not in a phase that the event leaves.

        ``ending`` is given exactly where the event leads to a final phase, ``by`` with the request
        of a cancel. An end is activity of the session.
        """
        ...

    async def end_statement(
        self,
        repl: ReplId,
        number: StatementNumber,
        event: StatementEvent,
        *,
        at: datetime,
        ending: Ending,
        audit: AuditEntry,
        claim: bool,
    ) -> tuple[Statement | None, Statement | None]:
        """Do `move_statement` and, with ``claim``, `claim_next`: one commit for both.

        Return what each returns.
        """
        ...

    async def set_progress(self, repl: ReplId, number: StatementNumber, value: float) -> None:
        """Note an open statement's progress; of a final one, nothing changes."""
        ...

    async def set_jobs(self, repl: ReplId, number: StatementNumber, jobs: StatementJobs) -> None:
        """Store a statement's Spark jobs, in place of the stored ones, if the statement exists."""
        ...

    async def jobs(self, repl: ReplId, number: StatementNumber) -> StatementJobs:
        """Return a statement's Spark jobs as last reported."""
        ...


class Repls(Protocol):
    """Repls. A session's first one comes with it, and is open once its driver is ready."""

    async def repl(self, repl: ReplId) -> Repl | None:
        """Return a repl."""
        ...

    async def live_repls(self, driver: DriverId) -> Sequence[Repl]:
        """Return the repls that a driver has, or is to have, the oldest first."""
        ...

    async def repls_of_session(
        self, session: SessionId
    ) -> Sequence[tuple[Repl, HighConcurrencySession | None]]:
        """Return all repls that a session ever had, the oldest first, with their handles."""
        ...

    async def repl_opened(self, repl: ReplId) -> bool:
        """Apply `ReplEvent.OPENED`; False if the repl was not in a phase that it leaves."""
        ...

    async def request_close(
        self, repl: ReplId, *, at: datetime, reason: str, ending: Ending
    ) -> tuple[Repl, Sequence[Statement]] | None:
        """Apply `ReplEvent.CLOSE_REQUESTED` and end the repl's open statements.

        Returns the repl and these statements; None if it was closing or closed before.
        """
        ...

    async def close_repl(
        self, repl: ReplId, *, at: datetime, reason: str | None, ending: Ending
    ) -> Sequence[Statement] | None:
        """Apply `ReplEvent.CLOSED` and end the repl's open statements; return these.

        None if the repl was closed before.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquired:
    """What an acquire led to; ``is_new`` tells that the session was made for it."""

    handle: HighConcurrencySession
    session: Session
    repl: Repl
    is_new: bool


class HighConcurrencySessions(Protocol):
    """High-concurrency sessions: handles for one repl each of a shared session."""

    async def acquire(
        self,
        wanted: HighConcurrencySession,
        new: Session,
        driver: Driver,
        *,
        admit: Callable[[Occupancy], bool],
        claim: Claim | None = None,
        audit: Callable[[Session], AuditEntry],
        key: IdempotencyKey | None = None,
    ) -> Acquired:
        """Insert a handle with a repl, in a session with the sharing key of ``new`` that has room.

        Where there is none, ``new`` is inserted with its driver, as by `Sessions.add_session`; the
        handle gets its first repl. ``audit`` is called with the session. One transaction: however
        many arrive together, no session is made while another one has room.

        Raises:
            MadeBefore: the key came before; its handle is the resource.
            KeyReused: the key came with another request before.
        """
        ...

    async def high_concurrency_session(
        self, handle: HighConcurrencyId
    ) -> tuple[HighConcurrencySession, Session, Repl] | None:
        """Return a handle, deleted or not, with its session and repl."""
        ...

    async def list_high_concurrency_sessions(
        self, lakehouse: LakehouseId, creator: PrincipalId, *, skip: int, top: int
    ) -> tuple[Sequence[tuple[HighConcurrencySession, Session, Repl]], int]:
        """Return one page of a principal's undeleted handles, newest first, and their number."""
        ...

    async def release(
        self,
        handle: HighConcurrencyId,
        *,
        at: datetime,
        ending: Ending,
        audit: AuditEntry,
    ) -> tuple[Repl, Sequence[Statement]] | None:
        """Mark a handle deleted, have its repl closed, and end the repl's open statements.

        Returns the repl and the statements that were ended; None if it was deleted before.
        """
        ...


class PersonalTokens(Protocol):
    """Personal access tokens, found by their digests."""

    async def add_personal_token(
        self, token: PersonalToken, *, audit: AuditEntry | None = None
    ) -> None:
        """Insert a token."""
        ...

    async def personal_token(self, digest: str) -> PersonalToken | None:
        """Return the token with this digest, expired or not."""
        ...

    async def list_personal_tokens(self) -> Sequence[PersonalToken]:
        """Return all tokens, oldest first."""
        ...

    async def remove_personal_token(self, token: str, *, audit: AuditEntry | None = None) -> bool:
        """Delete the token with this id; False if there is none."""
        ...


class PortalSessions(Protocol):
    """Sessions of the portal, found by their keys."""

    async def add_portal_session(
        self, portal_session: PortalSession, *, most_of_one: int, most: int
    ) -> None:
        """Insert a portal session.

        Of more than ``most_of_one`` of its principal's, or ``most`` in all, those that were idle
        for longest go.
        """
        ...

    async def portal_session(self, key: str) -> PortalSession | None:
        """Return a portal session, even one that has expired."""
        ...

    async def touch_portal_session(self, key: str, *, at: datetime) -> None:
        """Record a visit; nothing changes if the portal session has ended."""
        ...

    async def remove_portal_session(self, key: str) -> None:
        """Delete a portal session."""
        ...

    async def forget_portal_sessions(self, now: datetime) -> None:
        """Delete the portal sessions that have expired."""
        ...


class IdempotencyKeys(Protocol):
    """Keys of repeatable requests. Each is recorded by the method that inserts the resource."""

    async def forget_idempotency_keys(self, now: datetime) -> None:
        """Delete expired keys."""
        ...


class UidAllocator(Protocol):
    """The numbers of operating system users and groups; each belongs to one owner for ever."""

    async def number_of(self, owner: str, among: range) -> int:
        """Return the owner's number; the first time, the next free one.

        Raises:
            Unavailable: all of these numbers are taken.
        """
        ...


class Store(
    Sessions,
    Drivers,
    Repls,
    HighConcurrencySessions,
    Activities,
    Audit,
    Statements,
    Outlines,
    Catalog,
    PersonalTokens,
    PortalSessions,
    IdempotencyKeys,
    Operations,
    Environments,
    SparkConfigurations,
    Protocol,
):
    """All records of one gateway."""

    async def ping(self) -> None:
        """Return once the store answers."""
        ...
