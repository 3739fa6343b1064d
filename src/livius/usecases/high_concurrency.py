"""High-concurrency sessions: acquire a repl of a shared session, look at it, release it.

See `livius.domain.high_concurrency` for what is shared. The last repl's release leaves the driver
warm: the session ends when it has been idle for its idle timeout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Final, TypeAlias

from livius.domain.audit import Action, AuditEntry
from livius.domain.errors import Invalid, NotFound
from livius.domain.high_concurrency import (
    DEFAULT_LIMIT,
    LARGEST_LIMIT,
    LIMIT_KEY,
    SMALLEST_LIMIT,
    HighConcurrencySession,
    Sharing,
    sharing_key,
)
from livius.domain.idempotency import IdempotencyKey, MadeBefore
from livius.domain.ids import HighConcurrencyId, PrincipalId, ReplId, new_id, parse_id
from livius.domain.lakehouse import Role
from livius.domain.permissions import READ_SESSION, RUN, STEER, Right
from livius.domain.principal import Principal
from livius.domain.repl import Phase, Repl
from livius.domain.session import FINAL, Goal, Session
from livius.domain.statement import Ending
from livius.usecases.access import SessionPath, enter, may_run_code, own_session
from livius.usecases.audit import by_caller
from livius.usecases.context import Context
from livius.usecases.dispatch import send_open
from livius.usecases.held_reads import read_settled
from livius.usecases.queue import QueuePlace, queue_places
from livius.usecases.repls import note_closing
from livius.usecases.runtimes import build_step
from livius.usecases.session_environment import packaged_sessions
from livius.usecases.sessions import CreateSession, admission, new_session

MAX_TAG_CHARS: Final = 256
_SHORT_NUMBER: Final = re.compile("[0-9]{1,3}")
_Joined: TypeAlias = tuple[HighConcurrencySession, Session, Repl]


@dataclass(frozen=True, slots=True)
class HighConcurrencyView:
    """A high-concurrency session, with the session and the repl behind it."""

    handle: HighConcurrencySession
    session: Session
    repl: Repl
    queue: QueuePlace | None = None
    """Where its session waits for room, if it does."""
    packaging: bool = False
    """Whether its session waits for the first publish of its environment."""
    building: str | None = None
    """The step of the build of its runtime, if it waits for one."""

    @property
    def is_on_the_way(self) -> bool:
        """Whether it will be ready, unless something goes wrong."""
        return (
            self.session.phase not in FINAL
            and self.session.goal is Goal.RUN
            and self.repl.phase is Phase.OPENING
        )


async def acquire(
    context: Context,
    caller: Principal,
    workspace: str,
    lakehouse: str,
    wanted: CreateSession,
    tag: str | None,
    *,
    key: IdempotencyKey | None = None,
) -> HighConcurrencyView:
    """Give the caller a repl of its own, in a shared session that has room or in a new one.

    Each call gives another repl (Fabric contract 4.5), but for a request whose ``key`` came before:
    it gets what the first one made, as it is now.

    Raises:
        LiviusError: and nothing was recorded.
    """
    place = await enter(context, caller, workspace, lakehouse, RUN)
    may_run_code(context, caller)
    _check_tag(tag)
    conf = {key: value for key, value in wanted.conf.items() if key != LIMIT_KEY}
    made = await new_session(context, caller, place, replace(wanted, conf=conf))
    new = made.session
    sharing = Sharing(
        key=sharing_key(
            submitter=new.submitter,
            lakehouse=new.lakehouse,
            runtime=new.runtime,
            conf={**_compared(wanted), "environment": new.environment or ""},
            tag=tag,
        ),
        limit=_limit({**made.environment_conf, **wanted.conf}),
    )
    new = replace(new, name=f"HC_{place.lakehouse.name}_{new.id}", sharing=sharing)
    handle = _handle(new, tag)

    def audit(session: Session) -> AuditEntry:
        return by_caller(
            context, caller, session, Action.HIGH_CONCURRENCY_ACQUIRE, target=handle.id
        )

    context.conf_secrets[new.id] = made.secrets
    acquired = None
    try:
        acquired = await context.store.acquire(
            handle,
            new,
            made.driver,
            admit=admission(context, new),
            claim=made.claim,
            audit=audit,
            key=key,
        )
    except MadeBefore as made:
        joined = await context.store.high_concurrency_session(HighConcurrencyId(made.resource))
        if joined is None:
            raise AssertionError("a key is removed with its session") from made
        return (await _views(context, [joined]))[0]
    finally:
        if acquired is None or not acquired.is_new:
            context.conf_secrets.pop(new.id, None)
    context.notifications.notify(acquired.session.id)
    if acquired.is_new:
        context.wake(acquired.session.driver)
    else:
        send_open(context, acquired.repl)
    joined = (acquired.handle, acquired.session, acquired.repl)
    return (await _views(context, [joined]))[0]


async def _views(context: Context, found: Sequence[_Joined]) -> Sequence[HighConcurrencyView]:
    sessions = [session for _handle, session, _repl in found]
    places = await queue_places(context, sessions)
    packaged = await packaged_sessions(context, sessions)
    return [
        HighConcurrencyView(
            *one, places.get(one[1].id), one[1].id in packaged, build_step(context, one[1])
        )
        for one in found
    ]


def _handle(new: Session, tag: str | None) -> HighConcurrencySession:
    """Return a handle on the session, with a repl that is to be made."""
    return HighConcurrencySession(
        id=HighConcurrencyId(new_id()),
        repl=ReplId(new_id()),
        session=new.id,
        workspace=new.workspace,
        lakehouse=new.lakehouse,
        creator=new.submitter,
        tag=tag,
        created_at=new.created_at,
    )


def _compared(wanted: CreateSession) -> Mapping[str, str]:
    """Return what sessions must have in common to be shared: conf and sizes as they were sent."""
    sizes = {name: str(size) for name, size in asdict(wanted.sizes).items() if size is not None}
    return {**wanted.conf, **sizes}


def _limit(conf: Mapping[str, str]) -> int:
    text = conf.get(LIMIT_KEY)
    if text is None:
        return DEFAULT_LIMIT
    limit = int(text) if _SHORT_NUMBER.fullmatch(text) else 0
    if not SMALLEST_LIMIT <= limit <= LARGEST_LIMIT:
        raise Invalid(
            "InvalidInput",
            f"{LIMIT_KEY} is a whole number from {SMALLEST_LIMIT} to {LARGEST_LIMIT}.",
            field=f"conf.{LIMIT_KEY}",
        )
    return limit


def _check_tag(tag: str | None) -> None:
    if tag is not None and (len(tag) > MAX_TAG_CHARS or not tag.isprintable()):
        raise Invalid(
            "InvalidInput",
            f"sessionTag has at most {MAX_TAG_CHARS} printable characters.",
            field="sessionTag",
        )


async def get(
    context: Context,
    caller: Principal,
    workspace: str,
    lakehouse: str,
    handle: str,
    *,
    long_poll: timedelta = timedelta(),
) -> HighConcurrencyView:
    """Return a high-concurrency session of the caller's.

    While it is acquired, the answer is held for up to ``long_poll``.

    Raises:
        NotFound: there is none, it was deleted, or it is somebody else's.
        Forbidden: the caller lacks a scope or a role.
    """
    return await read_settled(
        context,
        lambda: _own(context, caller, workspace, lakehouse, handle, READ_SESSION),
        topic=lambda view: view.session.id,
        is_on_the_way=lambda view: view.is_on_the_way,
        long_poll=long_poll,
    )


async def list_own(
    context: Context, caller: Principal, workspace: str, lakehouse: str, *, skip: int, top: int
) -> tuple[Sequence[HighConcurrencyView], int]:
    """Return one page of the caller's high-concurrency sessions, newest first, and their number."""
    place = await enter(context, caller, workspace, lakehouse, READ_SESSION)
    found, total = await context.store.list_high_concurrency_sessions(
        place.lakehouse.id, PrincipalId(caller.oid), skip=skip, top=top
    )
    return await _views(context, found), total


async def repls(
    context: Context, caller: Principal, path: SessionPath
) -> Sequence[tuple[Repl, HighConcurrencySession | None]]:
    """Return the repls that a session of the caller's ever had, the oldest first."""
    session = await own_session(context, caller, path, READ_SESSION)
    return await context.store.repls_of_session(session.id)


async def delete(
    context: Context, caller: Principal, workspace: str, lakehouse: str, handle: str
) -> None:
    """Release a high-concurrency session's repl. Its siblings are not touched.

    What its repl runs is stopped; its statements are not found any more.

    Raises:
        NotFound, Forbidden: as for `get`.
    """
    found = await _own(context, caller, workspace, lakehouse, handle, STEER)
    released = await context.store.release(
        found.handle.id,
        at=context.clock.now(),
        ending=Ending(
            ok=False,
            ename="ReplClosed",
            evalue="The high-concurrency session was deleted before the statement ended.",
        ),
        audit=by_caller(
            context, caller, found.session, Action.HIGH_CONCURRENCY_DELETE, target=found.handle.id
        ),
    )
    if released is None:
        raise _not_found(handle)
    note_closing(context, *released)


async def _own(
    context: Context,
    caller: Principal,
    workspace: str,
    lakehouse: str,
    handle: str,
    right: Right,
) -> HighConcurrencyView:
    place = await enter(context, caller, workspace, lakehouse, right)
    handle_id = HighConcurrencyId(parse_id(handle, what="HighConcurrencySession"))
    joined = await context.store.high_concurrency_session(handle_id)
    if joined is None:
        raise _not_found(handle)
    [found] = await _views(context, [joined])
    if (
        found.handle.deleted_at is not None
        or found.session.deleted_at is not None
        or found.handle.lakehouse != place.lakehouse.id
        or (found.handle.creator != caller.oid and place.role is not Role.ADMIN)
    ):
        raise _not_found(handle)
    return found


def _not_found(handle: str) -> NotFound:
    return NotFound(
        "HighConcurrencySessionNotFound",
        f"There is no high-concurrency session {handle[:40]} in this lakehouse. It may have been "
        "deleted: acquire another one.",
    )
