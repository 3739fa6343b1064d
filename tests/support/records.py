"""Records to fill a store with."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from livius.domain.audit import Action, AuditEntry, entry
from livius.domain.driver import Driver, Owner
from livius.domain.environment import (
    KEEPS_WARM,
    Compute,
    Environment,
    EnvironmentVersion,
    Library,
)
from livius.domain.high_concurrency import HighConcurrencySession, Sharing
from livius.domain.ids import (
    DriverId,
    EnvironmentId,
    EnvironmentVersionId,
    HighConcurrencyId,
    LakehouseId,
    OperationId,
    PrincipalId,
    ReplId,
    SessionId,
    SparkPoolId,
    WorkspaceId,
    new_id,
)
from livius.domain.jobs import SparkJob, SparkStage
from livius.domain.operation import Event as OperationEvent
from livius.domain.operation import Operation, OperationKind
from livius.domain.repl import Repl
from livius.domain.session import OF_DRIVER, EndCause, Goal, Phase, Session
from livius.domain.session import Event as SessionEvent
from livius.domain.spark_pool import NodeSize, PoolShape, SparkPool
from livius.domain.statement import Ending, Kind, Statement
from livius.ports.capacity import Occupancy
from livius.ports.store import Acquired, NewStatement, SessionEnd, Store

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
    return session, own_driver(session)


def own_driver(session: Session) -> Driver:
    return Driver(
        id=session.driver,
        owner=Owner.SESSION,
        session=session.id,
        runtime=session.runtime,
        first_repl=session.first_repl,
        created_at=session.created_at,
    )


def pooled_driver(**fields: Any) -> Driver:
    """A driver that the pool has asked for."""
    made = Driver(
        id=DriverId(new_id()),
        owner=Owner.POOL,
        session=None,
        runtime="2.0",
        first_repl=ReplId(new_id()),
        created_at=NOW,
        pooled=True,
    )
    return replace(made, **fields)


async def move_session(
    store: Store, session: SessionId, event: SessionEvent, *, at: datetime, **changes: Any
) -> Session | None:
    """Have happen to its driver what leads to a session's event."""
    if event is SessionEvent.DRIVER_ENDED:
        done = await end_session(store, session, at=at, end=with_end())
        return done and done[0]
    present = await store.session(session)
    assert present is not None
    [of_driver] = [one for one, follows in OF_DRIVER.items() if follows is event]
    moved = await store.move_driver(present.driver, of_driver, at=at, **changes)
    return moved and moved[1]


async def end_session(
    store: Store, session: SessionId, *, at: datetime, end: Callable[[Session], SessionEnd]
) -> tuple[Session, Sequence[Statement]] | None:
    """Have its driver end."""
    present = await store.session(session)
    assert present is not None
    done = await store.end_driver(present.driver, at=at, reason=None, end=end)
    return None if done is None or done.session is None else (done.session, done.abandoned)


async def added(store: Store, *, phase: Phase = Phase.REQUESTED, **fields: Any) -> Session:
    session, driver = make()
    session = replace(session, **fields)
    await store.add_session(session, driver)
    for event, reached in (
        (SessionEvent.LAUNCH_BEGUN, Phase.LAUNCHING),
        (SessionEvent.DRIVER_ATTACHED, Phase.STARTING),
        (SessionEvent.DRIVER_READY, Phase.READY),
    ):
        if session.phase is phase:
            break
        moved = await move_session(store, session.id, event, at=NOW)
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


def admit_all(_found: Occupancy) -> bool:
    return True


async def acquire(
    store: Store,
    key: str = "k",
    limit: int = 3,
    *,
    after: int = 0,
    admit: Callable[[Occupancy], bool] = admit_all,
) -> Acquired:
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
    return await store.acquire(handle, session, driver, admit=admit, audit=noted)


def code(session: Session, text: str = "1", *, at: datetime = NOW) -> NewStatement:
    return NewStatement(
        session=session.id,
        repl=session.first_repl,
        kind=Kind.PYSPARK,
        code=text,
        source_id="cell-1",
        at=at,
    )


def publish_operation(environment: Environment, **fields: Any) -> Operation:
    made = Operation(
        id=OperationId(new_id()),
        kind=OperationKind.PUBLISH_ENVIRONMENT,
        workspace=environment.workspace,
        item=environment.id,
        requested_by=PrincipalId(new_id()),
        request={},
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(made, **fields)


async def publishing(store: Store, environment: Environment, **fields: Any) -> EnvironmentVersion:
    """A version of an environment whose publish waits."""
    operation = publish_operation(environment)
    version = EnvironmentVersion(
        id=EnvironmentVersionId(new_id()),
        environment=environment.id,
        workspace=environment.workspace,
        operation=operation.id,
        created_at=NOW,
        compute=environment.compute,
        libraries=environment.libraries,
        **fields,
    )
    assert await store.add_publish(version, operation)
    return version


async def published(
    store: Store, environment: Environment, *, at: datetime = NOW
) -> EnvironmentVersion:
    """A version of an environment, with its libraries."""
    version = await publishing(store, environment)
    await store.move_operation(version.operation, OperationEvent.STARTED, at=NOW)
    assert await store.finish_publish(version.id, packages=environment.libraries, at=at)
    return replace(version, packages=environment.libraries, published_at=at)


def warm_environment(workspace: WorkspaceId, **fields: Any) -> Environment:
    """An environment with a library, that asks for a warm driver."""
    made = Environment(
        id=EnvironmentId(new_id()),
        workspace=workspace,
        name=new_id(),
        created_at=NOW,
        compute=Compute(runtime="2.0", properties={KEEPS_WARM: "true"}),
        libraries=(Library(name="polars", wanted="==1.2"),),
    )
    return replace(made, **fields)


POOL_SHAPE = PoolShape(
    name="Lab",
    node_size=NodeSize.SMALL,
    scales=True,
    min_nodes=1,
    max_nodes=2,
    allocates=False,
    min_executors=1,
    max_executors=2,
)


def spark_pool(**fields: Any) -> SparkPool:
    made = SparkPool(
        id=SparkPoolId(new_id()), workspace=WORKSPACE, created_at=NOW, **asdict(POOL_SHAPE)
    )
    return replace(made, **fields)


def spark_job(number: int, *, at: datetime = NOW, **changes: Any) -> SparkJob:
    """A job of one stage that took a second, read 20,000 rows and wrote 5."""
    ended = at + timedelta(seconds=1)
    stage = SparkStage(
        id=number,
        attempt=0,
        name="count at <cell 0>:2",
        status="COMPLETE",
        tasks=8,
        done=8,
        active=0,
        failed=0,
        started_at=at,
        ended_at=ended,
        input_bytes=2048,
        input_rows=20_000,
        output_bytes=99,
        output_rows=5,
    )
    job = SparkJob(
        id=number,
        name="count at <cell 0>:2",
        status="SUCCEEDED",
        tasks=8,
        done=8,
        active=0,
        failed=0,
        skipped=0,
        started_at=at,
        ended_at=ended,
        stages=(stage,),
    )
    return replace(job, **changes)
