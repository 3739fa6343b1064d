"""Statements: submit and cancel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from livius.domain.audit import Action
from livius.domain.errors import Invalid, NotFound
from livius.domain.idempotency import IdempotencyKey, MadeBefore
from livius.domain.messages import Message
from livius.domain.permissions import RUN, STEER
from livius.domain.principal import Principal
from livius.domain.repl import Phase as ReplPhase
from livius.domain.repl import Repl
from livius.domain.session import Session
from livius.domain.statement import (
    Event,
    Kind,
    Phase,
    cancelled_before_start,
)
from livius.ports.notifications import StatementsChanged
from livius.ports.store import NewStatement
from livius.usecases.access import SessionPath, may_run_code, own_repl
from livius.usecases.audit import by_caller
from livius.usecases.context import Context
from livius.usecases.dispatch import note_end, pump, send_cancel, send_run
from livius.usecases.statement_reads import (
    StatementView,
    get_statement,
    no_statement,
    parse_number,
)

DEFAULT_KIND: Final = Kind.PYSPARK
_ALIASES: Final = {"scala": Kind.SPARK, "python": Kind.PYSPARK, "r": Kind.SPARKR}


def parse_kind(kind: str | None) -> Kind:
    """Return the kind by its name or by classic Livy's alias.

    Raises:
        Invalid: unknown, or one that can't run here.
    """
    if kind is None:
        return DEFAULT_KIND
    try:
        found = _ALIASES.get(kind.lower()) or Kind(kind.lower())
    except ValueError:
        raise Invalid(
            "InvalidInput",
            Message(
                "kind is one of %(kinds)s, not %(kind)s.",
                kinds=", ".join(Kind),
                kind=repr(kind[:40]),
            ),
            field="kind",
        ) from None
    if found is Kind.SPARKR:
        raise Invalid(
            "SparkRNotAvailable",
            Message(
                "The kind sparkr is not available here, because the installed Spark has no "
                "SparkR. Use spark, pyspark or sql."
            ),
            field="kind",
        )
    return found


async def may_submit(
    context: Context, caller: Principal, path: SessionPath
) -> tuple[Session, Repl]:
    """Return the session and the repl that a path names, if the caller may run code there.

    Raises:
        NotFound: there is no such session or repl.
        Forbidden: the caller may not.
    """
    found = await own_repl(context, caller, path, RUN)
    may_run_code(context, caller)
    return found


async def submit(
    context: Context,
    caller: Principal,
    target: tuple[Session, Repl],
    *,
    code: str,
    kind: str | None,
    source_id: str | None,
    key: IdempotencyKey | None = None,
) -> StatementView:
    """Record a statement, durably, then have it run. The target comes from `may_submit`.

    While the session starts it waits. If an earlier request with the same key made a statement,
    that one is returned as it is now.

    Raises:
        NotFound: the session has ended.
        Unavailable: the disk is full.
    """
    session, repl = target
    parsed = parse_kind(kind)
    context.capacity.check_disk()
    if session.narrowed_by(caller) != session.token_principal:
        await context.store.narrow_token_principal(session.id, caller)  # before its code can run
    reachable = repl.phase is ReplPhase.OPEN and context.links.is_open(repl.driver)
    new = NewStatement(
        session=session.id,
        repl=repl.id,
        kind=parsed,
        code=code,
        source_id=source_id,
        at=context.clock.now(),
        key=key,
    )
    submitted = by_caller(context, caller, session, Action.STATEMENT_SUBMIT, code=code)
    try:
        statement = await context.store.add_statement(new, claim=reachable, audit=submitted)
    except MadeBefore as made:
        return await get_statement(context, repl, made.resource)
    if statement is None:
        raise NotFound(
            "SessionNotFound",
            Message(
                "The session %(session)s has ended and takes no statements. Create a new one.",
                session=session.id,
            ),
        )
    context.notifications.notify(StatementsChanged(session.id))
    if statement.phase is Phase.RUNNING:
        send_run(context, statement)
    else:
        # The link may have opened, or the repl become free, since we looked.
        await pump(context, repl.driver, repl.id)
    return StatementView(statement, "")


async def complete(
    context: Context, target: tuple[Session, Repl], *, code: str, kind: str | None, cursor: int
) -> Sequence[str]:
    """Return the names that may stand at a place in code, from the live objects of the repl.

    The target comes from `may_submit`. There are none while the session starts or runs code, and
    for other kinds than Python.

    Raises:
        Invalid: there is no such kind.
    """
    _session, repl = target
    return await context.completions.ask(context.links, repl, parse_kind(kind), code[:cursor])


async def cancel_statement(
    context: Context, caller: Principal, path: SessionPath, number: str
) -> None:
    """Have a statement stopped.

    One that waits is cancelled at once; to a finished one nothing happens, as in classic Livy.
    """
    session, repl = await own_repl(context, caller, path, STEER)
    parsed = parse_number(number)
    found = await context.store.statement(repl.id, parsed)
    if found is None:
        raise no_statement(number)
    moved = await context.store.move_statement(
        found.repl,
        found.number,
        Event.CANCEL_REQUESTED,
        at=context.clock.now(),
        ending=cancelled_before_start() if found.phase is Phase.WAITING else None,
        by=caller.name,
        audit=by_caller(context, caller, session, Action.STATEMENT_CANCEL),
    )
    if moved is not None:
        context.notifications.notify(StatementsChanged(session.id))
    if moved is not None and moved.phase is Phase.CANCELLING:
        send_cancel(context, moved)
    elif moved is not None:
        note_end(context.meter, moved, "cancelled")
        context.notifications.notify((moved.repl, moved.number))
