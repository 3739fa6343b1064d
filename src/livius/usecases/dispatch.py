"""Which statement runs next, keyed by driver and repl, and how its driver learns of it."""

from __future__ import annotations

import structlog

from livius.domain.ids import DriverId, ReplId
from livius.domain.repl import Repl
from livius.domain.statement import Statement
from livius.ports.meter import Meter
from livius.ports.notifications import StatementsChanged
from livius.usecases.context import Context
from livius_agent.wire import Cancel, CloseRepl, OpenRepl, Run

_log = structlog.get_logger(__name__)


def send_run(context: Context, statement: Statement) -> None:
    """Hand a running statement to its driver. If that fails, the redial makes up for it."""
    context.links.send(
        statement.driver,
        Run(
            repl=statement.repl,
            number=statement.number,
            kind=statement.kind.value,
            code=statement.code,
        ),
    )


async def pump(context: Context, driver: DriverId, repl: ReplId) -> None:
    """Have the repl's next waiting statement run, if the repl is free and can be reached."""
    if context.links.is_open(driver):
        claimed = await context.store.claim_next(repl, at=context.clock.now())
        if claimed is not None:
            context.notifications.notify(StatementsChanged(claimed.session))
            send_run(context, claimed)


def send_cancel(context: Context, statement: Statement) -> None:
    """Have a running statement's driver stop it. If that fails, the redial makes up for it."""
    context.links.send(statement.driver, Cancel(repl=statement.repl, number=statement.number))


def send_open(context: Context, repl: Repl) -> None:
    """Have a driver open a repl. If that fails, the redial makes up for it."""
    context.links.send(repl.driver, OpenRepl(repl=repl.id))


def send_close(context: Context, repl: Repl) -> None:
    """Have a driver close a repl. If that fails, the redial makes up for it."""
    context.links.send(repl.driver, CloseRepl(repl=repl.id))


def note_end(meter: Meter, statement: Statement, outcome: str) -> None:
    """Count a statement that has just ended, and log it: what and how long, never its code."""
    ended = statement.ended_at or statement.created_at
    started = statement.started_at or ended
    waited, ran = started - statement.created_at, ended - started
    meter.statement_ended(statement.kind, outcome, waited=waited, ran=ran)
    _log.info(
        "statement_ended",
        session=statement.session,
        number=statement.number,
        kind=statement.kind.value,
        result=outcome,
        waited=round(waited.total_seconds(), 3),
        seconds=round(ran.total_seconds(), 3),
    )
