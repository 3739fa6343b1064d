"""Sessions: create, look, keep alive, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from livius.domain.audit import Action
from livius.domain.conf import (
    ENVIRONMENT_ID,
    IDLE_TIMEOUT,
    POOL_NAME,
    RUNTIME,
    ConfDecision,
    apply_conf_policy,
    check_sizes,
    is_size,
    sizes_as_conf,
)
from livius.domain.conf_secrets import hide, secrets_of
from livius.domain.driver import Driver, Owner
from livius.domain.environment import EnvironmentVersion
from livius.domain.errors import Conflict, Exhausted, Invalid
from livius.domain.idempotency import IdempotencyKey, MadeBefore
from livius.domain.ids import DriverId, PrincipalId, ReplId, SessionId, new_id
from livius.domain.messages import Message
from livius.domain.permissions import LIST_SESSIONS, READ_SESSION, RUN, STEER
from livius.domain.pool import (
    ENVIRONMENT_FALLBACK,
    NONE_WARM,
    NONE_WARM_OF_ENVIRONMENT,
    PoolKind,
    conf_fallback,
    fixed_keys,
    pool_fallback,
    runtime_fallback,
)
from livius.domain.principal import Principal
from livius.domain.session import STARTING, EndCause, Goal, Phase, Session, Sizes
from livius.domain.spark_pool import Compute, SparkPool, bounds_of
from livius.domain.spark_settings import SparkSettings
from livius.ports.capacity import Occupancy
from livius.ports.store import Claim
from livius.usecases.access import (
    Place,
    SessionPath,
    enter,
    lakehouse_not_found,
    may_run_code,
    own_session,
)
from livius.usecases.audit import by_caller
from livius.usecases.context import Context, Rules
from livius.usecases.held_reads import read_settled
from livius.usecases.queue import QueuePlace, queue_places
from livius.usecases.runtimes import build_step
from livius.usecases.session_environment import environment_of_session, packaged_sessions
from livius.usecases.spark_settings import default_environment

MAX_NAME_CHARS: Final = 256
MAX_TAGS: Final = 100
WITHOUT_EFFECT_TAG: Final = "ConfWithoutEffect"
"""The tag that lists accepted conf keys that do nothing here."""
SIZES_TAG: Final = "SizesInEffect"
"""The tag that says what a session that asked for sizes, or has a custom pool, has got."""
_RETRY_AFTER: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSession:
    """What a caller asks for. ``request`` is the body as it came, for the echo."""

    name: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    sizes: Sizes = field(default_factory=Sizes)
    libraries: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """The records of a session, and the secrets of its conf, which no record has.

    ``claim`` is its wish for a driver of the pool in place of ``driver``. ``environment_conf`` are
    the properties of its environment.
    """

    session: Session
    driver: Driver
    secrets: Mapping[str, str]
    claim: Claim | None
    environment_conf: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session, whether it has work, and where it waits for room, if it does.

    ``building`` is the step of the build of its runtime, if it waits for one.
    """

    session: Session
    busy: bool
    queue: QueuePlace | None = None
    packaging: bool = False
    """Whether it waits for the first publish of its environment."""
    building: str | None = None


async def may_create(context: Context, caller: Principal, workspace: str, lakehouse: str) -> None:
    """Refuse a caller who may not create a session in a lakehouse, before the body is read.

    Raises:
        LiviusError: there is no such lakehouse, or the caller may not.
    """
    await enter(context, caller, workspace, lakehouse, RUN)
    may_run_code(context, caller)


async def create_session(
    context: Context,
    caller: Principal,
    workspace: str,
    lakehouse: str,
    wanted: CreateSession,
    key: IdempotencyKey | None = None,
) -> SessionView:
    """Record a session and have it started. What can be known to fail is refused here.

    If an earlier request with the same key made a session, that one is returned as it is now.

    Raises:
        LiviusError: and nothing was recorded.
    """
    place = await enter(context, caller, workspace, lakehouse, RUN)
    may_run_code(context, caller)
    new = await new_session(context, caller, place, wanted)
    context.conf_secrets[new.session.id] = new.secrets
    try:
        session = await context.store.add_session(
            new.session,
            new.driver,
            admit=admission(context, new.session),
            claim=new.claim,
            audit=by_caller(context, caller, new.session, Action.SESSION_CREATE),
            key=key,
        )
    except BaseException as error:  # whatever it is: a driver that never starts leaves no secrets
        context.conf_secrets.pop(new.session.id, None)
        if isinstance(error, MadeBefore):
            return await _made_before(context, error)
        raise
    context.notifications.notify(session.id)
    context.wake(session.driver)
    return (await _with_work(context, [session]))[0]


async def _made_before(context: Context, made: MadeBefore) -> SessionView:
    session = await context.store.session(SessionId(made.resource))
    if session is None:
        raise AssertionError("a key is removed with its session") from made
    return (await _with_work(context, [session]))[0]


def admission(context: Context, session: Session) -> Callable[[Occupancy], bool]:
    """Return what refuses or queues a new session, in the transaction that inserts it."""

    def admit(found: Occupancy) -> bool:
        if not found.has_lakehouse:
            raise lakehouse_not_found(session.lakehouse, session.workspace)
        if not found.has_environment:
            raise Conflict(
                "EnvironmentChanged",
                Message("The environment was published or deleted just now. Try again."),
            )
        most = context.rules.queue
        try:
            context.capacity.admit(found)
        except Exhausted:
            if not most and not found.queued:
                raise
        else:
            if not found.queued:
                return True
        # None overtakes a queued session, though there may be room in this moment.
        if found.queued < most:
            return False
        raise Exhausted(
            "TooManyRequestsForCapacity",
            Message(
                "%(drivers)s sessions are in use, and %(queued)s of at most %(most)s wait for room."
                " Delete one, or try again later; the operator can raise LIVIUS_QUEUE_SIZE and "
                "LIVIUS_MAX_DRIVERS.",
                drivers=found.drivers,
                queued=found.queued,
                most=most,
            ),
            retry_after=_RETRY_AFTER,
        )

    return admit


async def new_session(
    context: Context, caller: Principal, place: Place, wanted: CreateSession
) -> NewSession:
    """Return what a new session needs.

    Raises:
        LiviusError: this server can't do what the request asks for.
    """
    rules = context.rules
    name = _name(wanted.name)
    decided = await _decide(context, place, wanted)
    policed, version, bounds = decided.conf, decided.environment, decided.bounds
    now = context.clock.now()
    session_id = SessionId(new_id())
    driver = Driver(
        id=DriverId(new_id()),
        owner=Owner.SESSION,
        session=session_id,
        runtime=decided.runtime,
        first_repl=ReplId(new_id()),
        created_at=now,
        environment=None if version is None else version.id,
        cores=None if bounds is None else bounds.cores,
        memory_mb=None if bounds is None else bounds.memory_mb,
    )
    claim = _claim(rules, decided)
    fallback = claim if isinstance(claim, Mapping) else {}
    session = Session(
        id=session_id,
        workspace=place.lakehouse.workspace,
        lakehouse=place.lakehouse.id,
        submitter=PrincipalId(caller.oid),
        submitter_name=caller.name,
        submitter_kind=caller.kind,
        name=name or f"{place.lakehouse.name}_{session_id}",
        runtime=driver.runtime,
        conf=hide(policed.conf),
        tags={
            **wanted.tags,
            **_our_tags(rules, wanted, decided),
            **fallback,
        },
        request=_without_secrets(wanted.request),
        goal=Goal.RUN,
        phase=Phase.REQUESTED,
        driver=driver.id,
        first_repl=driver.first_repl,
        idle_timeout=decided.idle_timeout or rules.idle_timeout,
        created_at=now,
        last_active_at=now,
        times={Phase.REQUESTED: now},
        token_principal=caller,
        environment=None if version is None else version.id,
    )
    return NewSession(
        session=session,
        driver=driver,
        secrets=secrets_of(policed.conf),
        claim=claim if isinstance(claim, Claim) else None,
        environment_conf={} if version is None else version.compute.properties,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """What a new session gets: by its request, by its environment, by its workspace's settings.

    ``pool`` is the custom pool that bounds its driver; None: the operator's sizes alone do.
    ``ignores_pool`` tells that the settings don't let the session choose the pool that it names.
    """

    conf: ConfDecision
    environment: EnvironmentVersion | None
    settings: SparkSettings
    pool: SparkPool | None
    ignores_pool: bool
    runtime: str
    bounds: Compute | None
    """What a custom pool leaves of the operator's sizes; None: all."""

    @property
    def idle_timeout(self) -> timedelta | None:
        """The idle timeout; None: the operator's."""
        return self.conf.idle_timeout or self.settings.idle_timeout


async def _decide(context: Context, place: Place, wanted: CreateSession) -> _Decided:
    """Decide what a new session gets; its conf is above that of its environment.

    Raises:
        LiviusError: this server can't do what the request asks for.
    """
    rules, workspace = context.rules, place.lakehouse.workspace
    policed = _check(context, wanted)
    found = await context.store.spark_configuration(workspace)
    default = await default_environment(context, found.settings)
    asked = policed.environment or (None if default is None else default.id)
    is_named = policed.environment is not None
    version = await environment_of_session(context, workspace, asked, is_named=is_named)
    if (
        version is not None
        and not is_named
        and policed.runtime not in (None, version.compute.runtime)
    ):
        version = None  # a runtime that the request names is above a default
    _check_runtime(context, policed, version)
    runtime = policed.runtime or found.settings.runtime or rules.default_runtime
    pool, ignores_pool = found.pool_of_session(
        policed.pool, None if version is None else version.compute.pool
    )
    if version is not None:
        runtime = version.compute.runtime
        below = version.compute.decided_conf(local=rules.local)
        policed = replace(
            policed,
            conf={**below.conf, **policed.conf},
            idle_timeout=policed.idle_timeout or below.idle_timeout,
        )
    return _Decided(
        conf=policed,
        environment=version,
        settings=found.settings,
        pool=pool,
        ignores_pool=ignores_pool,
        runtime=runtime,
        bounds=bounds_of(pool, rules.driver_compute),
    )


def _check_runtime(
    context: Context, policed: ConfDecision, version: EnvironmentVersion | None
) -> None:
    """Refuse a runtime in a session's conf that the session can't have.

    Raises:
        Invalid: there is none of the name, or the environment has another one.
    """
    names = context.runtimes.names()
    if policed.runtime is not None and policed.runtime not in names:
        raise Invalid(
            "RuntimeNotFound",
            f"There is no runtime {policed.runtime[:64]}. {RUNTIME} is one of "
            f"{', '.join(sorted(names))}; leave it out for {context.rules.default_runtime}.",
            field=f"conf.{RUNTIME}",
        )
    if version is not None and policed.runtime not in (None, version.compute.runtime):
        raise Invalid(
            "RuntimeNotOfEnvironment",
            f"The environment has the runtime {version.compute.runtime}, for which its libraries "
            f"are. Leave {RUNTIME} out, or name that one.",
            field=f"conf.{RUNTIME}",
        )


def _claim(rules: Rules, decided: _Decided) -> Claim | Mapping[str, str] | None:
    """Return the wish for a warm driver, or the tags that say why the session can't have one.

    None: there is no pool.
    """
    version, common = decided.environment, rules.environment_drivers
    if version is None or version.published_at is None or not version.compute.keeps_warm:
        common = None
    if version is not None and common is not None:
        return _claim_of_environment(common, rules, decided, version)
    if rules.pool is None:
        return None
    return _fallback(rules, decided) or Claim(fingerprint=rules.pool, missed=NONE_WARM)


def _claim_of_environment(
    common: str, rules: Rules, decided: _Decided, version: EnvironmentVersion
) -> Claim | Mapping[str, str]:
    """Return the wish for a driver of the environment's own, which has its properties already."""
    present = version.compute.decided_conf(local=rules.local).conf
    other = {key: one for key, one in decided.conf.conf.items() if present.get(key) != one}
    if fixed := fixed_keys(other):
        return conf_fallback(fixed)
    kind = PoolKind.of_environment(common, version, decided.bounds)
    return Claim(
        fingerprint=kind.fingerprint, environment=version.id, missed=NONE_WARM_OF_ENVIRONMENT
    )


def _fallback(rules: Rules, decided: _Decided) -> Mapping[str, str]:
    """Return the tags that say why a driver of the starter pool can't have the session, if so."""
    version, pool = decided.environment, decided.pool
    if version is not None and (
        version.published_at is None
        or version.has_libraries
        or version.compute.runtime != rules.default_runtime
    ):
        return ENVIRONMENT_FALLBACK
    is_other = decided.runtime != rules.default_runtime
    if is_other and decided.conf.runtime is None:
        return runtime_fallback(decided.runtime)
    if pool is not None and decided.bounds is not None:
        return pool_fallback(pool.name)
    fixed = [*([RUNTIME] if is_other else []), *fixed_keys(decided.conf.conf)]
    return conf_fallback(fixed) if fixed else {}


async def same_again(context: Context, earlier: Session) -> CreateSession:
    """Return a request for a session with the name, conf and environment of an earlier one.

    Raises:
        Conflict: the conf has secrets, which no record keeps.
    """
    if secrets_of(earlier.conf):
        raise Conflict(
            "SecretsNotKept",
            Message(
                "The configuration of this session has secrets, which Livius does not keep. Start "
                "it from the program that has them."
            ),
        )
    idle = f"{round(earlier.idle_timeout.total_seconds())}s"
    conf = {**earlier.conf, IDLE_TIMEOUT: idle}
    publish = await context.store.publish(earlier.environment) if earlier.environment else None
    if publish is None:
        conf[RUNTIME] = earlier.runtime
    else:
        conf[ENVIRONMENT_ID] = publish.version.environment
    asked = earlier.request.get("conf") or {}
    conf |= {key: value for key, value in asked.items() if key.lower() == POOL_NAME.lower()}
    request = {"name": earlier.name, "conf": conf}
    return CreateSession(name=earlier.name, conf=conf, request=request)


def _check(context: Context, wanted: CreateSession) -> ConfDecision:
    """Return the conf after the policy.

    Raises:
        LiviusError: this server can't do what the request asks for.
    """
    check_sizes(wanted.sizes)
    _check_tags(wanted.tags)
    if wanted.libraries:
        raise Invalid(
            "SessionLibrariesNotSupported",
            "A session can't be given jars, files, pyFiles or archives yet. Upload them to the "
            "lakehouse's Files and load them with sc.addPyFile or spark.read.",
            field=wanted.libraries[0],
        )
    # The conf itself is the more exact request.
    conf = {**sizes_as_conf(wanted.sizes), **wanted.conf}
    return apply_conf_policy(conf, local=context.rules.local)


def _without_secrets(request: Mapping[str, Any]) -> Mapping[str, Any]:
    conf = request.get("conf")
    return {**request, "conf": hide(conf)} if isinstance(conf, Mapping) else request


def _our_tags(rules: Rules, wanted: CreateSession, decided: _Decided) -> dict[str, str]:
    """Return the tags that say what became of the request; none where it was simply done."""
    tags: dict[str, str] = {}
    policed, pool, bounds = decided.conf, decided.pool, decided.bounds
    ignored = [key for key in policed.without_effect if key in wanted.conf]
    if decided.ignores_pool:
        ignored += [key for key in wanted.conf if key.lower() == POOL_NAME.lower()]
    if ignored:
        tags[WITHOUT_EFFECT_TAG] = ",".join(ignored)
    if wanted.sizes != Sizes() or any(map(is_size, wanted.conf)) or pool is not None:
        sizes = {} if pool is None else {"pool": pool.name}
        sizes["driverMemory"] = rules.driver_memory if bounds is None else f"{bounds.memory_mb}m"
        if rules.driver_cores is not None:
            cores = rules.driver_cores if bounds is None else bounds.cores
            sizes |= {"driverCores": str(cores), "numExecutors": "0"}
        sizes |= {key: value for key, value in policed.conf.items() if is_size(key)}
        tags[SIZES_TAG] = ",".join(f"{name}={value}" for name, value in sizes.items())
    return tags


def _name(name: str | None) -> str | None:
    if name is not None and (len(name) > MAX_NAME_CHARS or not name.isprintable()):
        raise Invalid(
            "InvalidInput",
            f"name has at most {MAX_NAME_CHARS} printable characters.",
            field="name",
        )
    return name.strip() if name else None


def _check_tags(tags: Mapping[str, str]) -> None:
    longest = max((len(text) for pair in tags.items() for text in pair), default=0)
    if len(tags) > MAX_TAGS or longest > MAX_NAME_CHARS:
        raise Invalid(
            "InvalidInput",
            f"There are at most {MAX_TAGS} tags of at most {MAX_NAME_CHARS} characters.",
            field="tags",
        )


async def get_session(
    context: Context,
    caller: Principal,
    path: SessionPath,
    *,
    long_poll: timedelta = timedelta(),
) -> SessionView:
    """Return one session of the caller's.

    While it starts, the answer is held for up to ``long_poll``, until it is ready or has ended:
    clients that ask on a schedule then wait for Spark and not for their schedule.
    """
    found = await read_settled(
        context,
        lambda: own_session(context, caller, path, READ_SESSION),
        topic=lambda session: session.id,
        is_on_the_way=_is_on_the_way,
        long_poll=long_poll,
    )
    return (await _with_work(context, [found]))[0]


def _is_on_the_way(session: Session) -> bool:
    return session.phase in STARTING and session.goal is Goal.RUN


async def list_sessions(
    context: Context, caller: Principal, workspace: str, lakehouse: str, *, skip: int, top: int
) -> tuple[Sequence[SessionView], int]:
    """Return one page of a lakehouse's sessions, everybody's, and their number."""
    place = await enter(context, caller, workspace, lakehouse, LIST_SESSIONS)
    found, total = await context.store.list_sessions(
        place.lakehouse.workspace, place.lakehouse.id, skip=skip, top=top
    )
    return await _with_work(context, found), total


async def _with_work(context: Context, sessions: Sequence[Session]) -> Sequence[SessionView]:
    ready = [session.id for session in sessions if session.phase is Phase.READY]
    busy = await context.store.busy(ready) if ready else frozenset()
    places = await queue_places(context, sessions)
    packaged = await packaged_sessions(context, sessions)
    return [
        SessionView(
            one, one.id in busy, places.get(one.id), one.id in packaged, build_step(context, one)
        )
        for one in sessions
    ]


async def delete_session(context: Context, caller: Principal, path: SessionPath) -> None:
    """Mark a session deleted, and have its driver ended.

    From now on it is not found; monitoring keeps its record.
    """
    found = await own_session(context, caller, path, STEER)
    await context.store.request_stop(
        found.id,
        deleted_at=context.clock.now(),
        end_cause=EndCause.DELETED,
        end_reason=f"{caller.name} deleted the session.",
        audit=by_caller(context, caller, found, Action.SESSION_DELETE),
    )
    context.notifications.notify(found.id)
    context.wake(found.driver)


async def reset_timeout(context: Context, caller: Principal, path: SessionPath) -> None:
    """Restart the session's idle time.

    Raises:
        Conflict: the session has ended.
    """
    found = await own_session(context, caller, path, STEER)
    if not await context.store.touch(found.id, at=context.clock.now()):
        raise Conflict(
            "SessionNotActive", "The session has ended and can't be kept alive. Create a new one."
        )


async def count_live(context: Context) -> int:
    """Return how many sessions have not ended; that it returns tells that the store answers."""
    return len(await context.store.live_sessions())
