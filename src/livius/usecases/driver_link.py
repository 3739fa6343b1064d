"""A driver's link: who dials in, what each side knows, and what the driver is sent first.

`attached` is the whole of it, in the order that it has to have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from livius.domain.driver import LINKED, Driver, Event, verify_secret
from livius.domain.errors import Conflict, Unauthenticated
from livius.domain.ids import DriverId
from livius.domain.repl import Phase as ReplPhase
from livius.domain.repl import Repl
from livius.domain.session import EndCause, Phase, Session
from livius.domain.statement import Phase as StatementPhase
from livius.ports.links import Link
from livius.usecases.context import Context
from livius.usecases.dispatch import pump, send_cancel, send_close, send_open, send_run
from livius_agent.wire import (
    OLDEST_PROTOCOL,
    PROTOCOL,
    REPLS_PROTOCOL,
    Durable,
    FromAgent,
    Hello,
    Welcome,
)

_HELLO_WITHIN: Final = 10.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A proven link: whose it is, what to answer, and the statements that the agent has.

    ``session`` is None for a driver of the pool. ``protocol`` is the one that the agent says it
    speaks.
    """

    driver: DriverId
    session: Session | None
    welcome: Welcome
    known: frozenset[tuple[str, int]]
    protocol: int


class SessionLost(Exception):
    """The driver is not served any longer. The message is the sentence for its session."""


def rule_broken(rule: str) -> SessionLost:
    """Return what ends the session of a driver that broke a rule."""
    return SessionLost(
        "The session's Spark driver broke a rule of its link to the gateway, so it was ended: "
        f"{rule}. Code that speaks in the driver's name is one cause. Create a new session."
    )


def frame_refused(rule: str, protocol: int) -> SessionLost:
    """Return what ends the session of a driver whose frame is not taken.

    One of an older protocol may have sent it in good faith.
    """
    if protocol == PROTOCOL:
        return rule_broken(rule)
    return SessionLost(
        "The session's Spark driver was started by an older version of Livius and sent what this "
        f"version does not take: {rule}. Results over 1 MiB and NaN or Infinity in a result are "
        "causes. Create a new session."
    )


async def refuse(context: Context, driver: Driver, lost: SessionLost) -> None:
    """End a driver that is not served any longer, and its session with it."""
    session = await session_of(context, driver.id)
    _log.warning(
        "driver_refused", driver=driver.id, session=session and session.id, reason=str(lost)
    )
    if session is None:
        await context.store.end_pooled(driver.id, reason=str(lost))
    else:
        await context.store.request_stop(
            session.id, end_cause=EndCause.DRIVER_REFUSED, end_reason=str(lost)
        )
        context.notifications.notify(session.id)
    context.wake(driver.id)


async def session_of(context: Context, driver: DriverId) -> Session | None:
    """Return the session that a driver serves by now, if any.

    None also for one that was to be bound to a session and was replaced.
    """
    found = await context.store.driver(driver)
    if found is None or found.session is None:
        return None
    session = await context.store.session(found.session)
    return session if session is not None and session.driver == driver else None


async def authenticate_driver(context: Context, driver: str, secret: str) -> Driver:
    """Return the driver that the secret proves.

    Raises:
        Unauthenticated: unknown, ended, or the wrong secret; which of these is not told.
    """
    found = await context.store.driver(DriverId(driver))
    if found is None or found.ended_at is not None or not verify_secret(secret, found.secret_hash):
        raise Unauthenticated("DriverUnknown", "No driver of this gateway has this secret.")
    return found


@asynccontextmanager
async def attached(
    context: Context, driver: Driver, link: Link, receive: Callable[[], Awaitable[FromAgent]]
) -> AsyncIterator[Attached]:
    """Attach a driver by a link for as long as the block lasts.

    That each statement runs once rests on the order: the driver's old link is closed before the
    records are read, and the records are read again once messages may be sent.

    Raises:
        TimeoutError: no hello came in time.
        Conflict, SessionLost: as `attach_driver`.
    """
    token = context.links.add(driver.id, link)
    try:
        async with asyncio.timeout(_HELLO_WITHIN):
            hello = await receive()
        if not isinstance(hello, Hello):
            raise rule_broken("its link did not begin with hello")
        found = await attach_driver(context, driver, hello)
        context.links.heard(driver.id)
        link.send(found.welcome)
        context.links.opened(driver.id, token)
        context.completions.attached(driver.id, token, found.protocol)
        await resume(context, found)
        yield found
    finally:
        context.completions.detached(driver.id, token)
        context.links.drop(driver.id, token)
        # Whether the driver ended too is for the reconciler to find out.
        context.wake(driver.id)


async def attach_driver(context: Context, driver: Driver, hello: Hello) -> Attached:
    """Settle what each side knows when a driver's link begins, its first or a later one.

    Raises:
        Conflict: the driver is ending, or has ended.
        SessionLost: the driver speaks a protocol that we don't, or is another one.
    """
    if not OLDEST_PROTOCOL <= hello.protocol <= PROTOCOL:
        raise SessionLost(
            f"The session's Spark driver speaks protocol {hello.protocol} with the gateway, which "
            f"speaks {OLDEST_PROTOCOL} to {PROTOCOL} since it was replaced. Create a new session."
        )
    if hello.driver != driver.id:
        raise rule_broken("its hello names another driver than its secret")
    now = context.clock.now()
    await context.store.move_driver(driver.id, Event.ATTACHED, at=now)
    present = await context.store.driver(driver.id)
    if present is None or present.phase not in LINKED:
        raise Conflict("SessionEnded", "The driver's session has ended.")
    session = await session_of(context, driver.id)
    if session is not None:
        context.notifications.notify(session.id)
    known = frozenset((entry.repl, entry.number) for entry in hello.ledger)
    durable: list[Durable] = []
    for statement in await context.store.open_statements(driver.id):
        if (statement.repl, statement.number) in known:
            size = await context.outputs.size(statement.session, statement.repl, statement.number)
            data = await context.outputs.size(
                statement.session, statement.repl, statement.number, stream="data"
            )
            durable.append(
                Durable(repl=statement.repl, number=statement.number, offset=size, data=data)
            )
    welcome = Welcome(beat_seconds=context.rules.beat.total_seconds(), durable=tuple(durable))
    return Attached(
        driver=driver.id, session=session, welcome=welcome, known=known, protocol=hello.protocol
    )


async def resume(context: Context, attached: Attached) -> None:
    """Go on with a driver whose link is open: what it never saw, then what waits.

    The records are read now that the link is open: a claim or a cancel that was committed before
    is found here, one that is committed later is sent by the request that made it. One that is
    sent by both does no harm: the agent ignores a number that it was given before. So is a session
    that has claimed the driver meanwhile.
    """
    session = await session_of(context, attached.driver)
    if session is None:
        return
    repls = await context.store.live_repls(session.driver)
    if attached.protocol >= REPLS_PROTOCOL:
        _resume_repls(context, session, repls)
    for statement in await context.store.open_statements(session.driver):
        if statement.phase is StatementPhase.WAITING:
            continue
        if (statement.repl, statement.number) not in attached.known:
            send_run(context, statement)
        if statement.phase is StatementPhase.CANCELLING:
            send_cancel(context, statement)
    if session.phase is Phase.READY:
        for repl in repls:
            await pump(context, repl.driver, repl.id)
    context.wake(session.driver)


def _resume_repls(context: Context, session: Session, repls: Sequence[Repl]) -> None:
    for repl in repls:
        if repl.phase is ReplPhase.CLOSING:
            send_close(context, repl)
        elif repl.id != session.first_repl:  # that one opens with the driver
            send_open(context, repl)
