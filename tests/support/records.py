"""Records to fill a store with."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from livius.domain.audit import Action, AuditEntry, entry
from livius.domain.driver import Driver
from livius.domain.high_concurrency import HighConcurrencySession, Sharing
from livius.domain.ids import (
    DriverId,
    HighConcurrencyId,
    LakehouseId,
    PrincipalId,
    ReplId,
    SessionId,
    WorkspaceId,
    new_id,
)
from livius.domain.repl import Repl
from livius.domain.session import EndCause, Goal, Phase, Session
from livius.domain.session import Event as SessionEvent
from livius.domain.statement import Ending, Kind
from livius.ports.store import Acquired, NewStatement, Occupancy, SessionEnd, Store

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
WORKSPACE = WorkspaceId(new_id())
LAKEHOUSE = LakehouseId(new_id())


def make(*, created_at: datetime = NOW) -> tuple[Session, Driver]:
    session_id, driver_id = SessionId(new_id()), DriverId(new_id())
    session = Session(
        id=session_id,
        workspace=WORKSPACE,
        lakehouse=LAKEHOUSE,
        submitter=PrincipalId(new_id()),
        submitter_name="Ada",
        name="演示",
        runtime="2.0",
        conf={"spark.x": "1"},
        tags={"a": "b"},
        request={"name": "演示"},
        goal=Goal.RUN,
        phase=Phase.REQUESTED,
        driver=driver_id,
        first_repl=ReplId(new_id()),
        idle_timeout=timedelta(minutes=20),
        created_at=created_at,
        last_active_at=created_at,
        times={Phase.REQUESTED: created_at},
    )
    driver = Driver(id=driver_id, session=session_id, secret_hash=None, created_at=created_at)
    return session, driver


async def added(store: Store, *, phase: Phase = Phase.REQUESTED) -> Session:
    session, driver = make()
    await store.add_session(session, driver)
    for event, reached in (
        (SessionEvent.LAUNCH_BEGUN, Phase.LAUNCHING),
        (SessionEvent.DRIVER_ATTACHED, Phase.STARTING),
        (SessionEvent.DRIVER_READY, Phase.READY),
    ):
        if session.phase is phase:
            break
        moved = await store.move_session(session.id, event, at=NOW)
        assert moved is not None
        assert moved.phase is reached
        session = moved
    return session


async def first_repl(store: Store, session: Session) -> Repl:
    found = await store.repl(session.first_repl)
    assert found is not None
    return found


def with_end(
    ending: Ending | None = None, *, cause: EndCause | None = None, reason: str | None = None
) -> Callable[[Session], SessionEnd]:
    end = SessionEnd(ending=ending or Ending(ok=False), cause=cause, reason=reason)
    return lambda _: end


def noted(session: Session) -> AuditEntry:
    return entry(session, Action.HIGH_CONCURRENCY_ACQUIRE, at=NOW, result="accepted")


def admit_all(_found: Occupancy) -> None:
    pass


async def acquire(store: Store, key: str = "k", limit: int = 3, *, after: int = 0) -> Acquired:
    """Acquire a repl of a shared session that has room, or of a new one."""
    at = NOW + timedelta(seconds=after)
    session, driver = make(created_at=at)
    session = replace(session, sharing=Sharing(key=key, limit=limit))
    handle = HighConcurrencySession(
        id=HighConcurrencyId(new_id()),
        repl=ReplId(new_id()),
        session=session.id,
        workspace=session.workspace,
        lakehouse=session.lakehouse,
        creator=session.submitter,
        tag="t",
        created_at=at,
    )
    return await store.acquire(handle, session, driver, admit=admit_all, audit=noted)


def code(session: Session, text: str = "1", *, at: datetime = NOW) -> NewStatement:
    return NewStatement(
        session=session.id,
        repl=session.first_repl,
        driver=session.driver,
        kind=Kind.PYSPARK,
        code=text,
        source_id="cell-1",
        at=at,
    )
