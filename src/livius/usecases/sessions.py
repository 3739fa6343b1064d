"""Sessions: create, look, keep alive, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from livius.domain.audit import Action
from livius.domain.conf import ConfDecision, apply_conf_policy, check_sizes, is_size, sizes_as_conf
from livius.domain.conf_secrets import hide, secrets_of
from livius.domain.driver import Driver
from livius.domain.errors import Conflict, Invalid
from livius.domain.idempotency import IdempotencyKey, MadeBefore
from livius.domain.ids import DriverId, PrincipalId, ReplId, SessionId, new_id
from livius.domain.permissions import LIST_SESSIONS, READ_SESSION, RUN, STEER
from livius.domain.principal import Principal
from livius.domain.session import STARTING, EndCause, Goal, Phase, Session, Sizes
from livius.ports.store import Occupancy
from livius.usecases.access import (
    Place,
    SessionPath,
    enter,
    lakehouse_not_found,
    may_run_code,
    own_session,
)
from livius.usecases.audit import by_caller
from livius.usecases.context import Context
from livius.usecases.held_reads import read_settled

MAX_NAME_CHARS: Final = 256
MAX_TAGS: Final = 100
WITHOUT_EFFECT_TAG: Final = "ConfWithoutEffect"
"""The tag that lists accepted conf keys that do nothing here."""
SIZES_TAG: Final = "SizesInEffect"
"""The tag that says what a session that asked for sizes has got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSession:
    """What a caller asks for. ``request`` is the body as it came, for the echo."""

    name: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    sizes: Sizes = field(default_factory=Sizes)
    libraries: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session, and whether it has work."""

    session: Session
    busy: bool


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
    session, driver, secrets = new_session(context, caller, place, wanted)
    created = by_caller(context, caller, session, Action.SESSION_CREATE)
    context.conf_secrets[driver.id] = secrets
    try:
        await context.store.add_session(
            session, driver, admit=admission(context, session), audit=created, key=key
        )
    except BaseException as error:  # whatever it is: a driver that never starts leaves no secrets
        context.conf_secrets.pop(driver.id, None)
        if isinstance(error, MadeBefore):
            return await _made_before(context, error)
        raise
    context.notifications.notify(session.id)
    context.wake(session.id)
    return SessionView(session, busy=False)


async def _made_before(context: Context, made: MadeBefore) -> SessionView:
    session = await context.store.session(SessionId(made.resource))
    if session is None:
        raise AssertionError("a key is removed with its session") from made
    return (await _with_work(context, [session]))[0]


def admission(context: Context, session: Session) -> Callable[[Occupancy], None]:
    """Return what refuses a new session, in the transaction that inserts it."""

    def admit(found: Occupancy) -> None:
        if not found.has_lakehouse:
            raise lakehouse_not_found(session.lakehouse, session.workspace)
        context.capacity.admit(drivers=found.drivers, starting=found.starting)

    return admit


def new_session(
    context: Context, caller: Principal, place: Place, wanted: CreateSession
) -> tuple[Session, Driver, Mapping[str, str]]:
    """Return the records of a session, and the secrets of its conf, which no record has.

    Raises:
        LiviusError: this server can't do what the request asks for.
    """
    rules = context.rules
    name = _name(wanted.name)
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
    policed = apply_conf_policy({**sizes_as_conf(wanted.sizes), **wanted.conf}, local=rules.local)
    if policed.environment is not None:
        raise Invalid(
            "EnvironmentNotFound",
            f"There is no environment {policed.environment[:64]}. This version of Livius has no "
            "environments yet: leave the key out to use the default runtime.",
            field="conf",
        )
    if rules.default_runtime not in rules.runtimes:
        raise Invalid(
            "RuntimeNotFound",
            f"The runtime {rules.default_runtime} is not installed on this server. Its operator "
            "installs it with: livius up",
        )
    now = context.clock.now()
    session_id = SessionId(new_id())
    driver = Driver(id=DriverId(new_id()), session=session_id, secret_hash=None, created_at=now)
    session = Session(
        id=session_id,
        workspace=place.lakehouse.workspace,
        lakehouse=place.lakehouse.id,
        submitter=PrincipalId(caller.oid),
        submitter_name=caller.name,
        submitter_kind=caller.kind,
        name=name or f"{place.lakehouse.name}_{session_id}",
        runtime=rules.default_runtime,
        conf=hide(policed.conf),
        tags={**wanted.tags, **_our_tags(context, wanted, policed)},
        request=_without_secrets(wanted.request),
        goal=Goal.RUN,
        phase=Phase.REQUESTED,
        driver=driver.id,
        first_repl=ReplId(new_id()),
        idle_timeout=policed.idle_timeout or rules.idle_timeout,
        created_at=now,
        last_active_at=now,
        times={Phase.REQUESTED: now},
        token_principal=caller,
    )
    return session, driver, secrets_of(policed.conf)


def _without_secrets(request: Mapping[str, Any]) -> Mapping[str, Any]:
    conf = request.get("conf")
    return {**request, "conf": hide(conf)} if isinstance(conf, Mapping) else request


def _our_tags(context: Context, wanted: CreateSession, policed: ConfDecision) -> dict[str, str]:
    """Return the tags that say what became of the request; none where it was simply done."""
    tags: dict[str, str] = {}
    ignored = [key for key in policed.without_effect if key in wanted.conf]
    if ignored:
        tags[WITHOUT_EFFECT_TAG] = ",".join(ignored)
    if wanted.sizes != Sizes() or any(map(is_size, wanted.conf)):
        rules = context.rules
        sizes = {"driverMemory": rules.driver_memory}
        if rules.driver_cores is not None:
            sizes |= {"driverCores": str(rules.driver_cores), "numExecutors": "0"}
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
    return [SessionView(session, busy=session.id in busy) for session in sessions]


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
    context.wake(found.id)


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
