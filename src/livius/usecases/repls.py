"""The end of one repl, whose siblings go on."""

from __future__ import annotations

from collections.abc import Sequence

from livius.domain.ids import ReplId
from livius.domain.repl import Phase, Repl
from livius.domain.session import Session
from livius.domain.statement import Ending, Statement
from livius.ports.notifications import StatementsChanged
from livius.usecases.context import Context
from livius.usecases.dispatch import note_end, send_close

_STOPPED_BY_CODE = "The repl's own code closed it: notebookutils.session.stop()."


async def close_by_code(context: Context, session: Session, repl: ReplId) -> None:
    """Close a repl of a shared session because its own code wants it."""
    closing = await context.store.request_close(
        repl,
        at=context.clock.now(),
        reason=_STOPPED_BY_CODE,
        ending=Ending(ok=False, ename="ReplClosed", evalue=_STOPPED_BY_CODE),
    )
    if closing is not None:
        note_closing(context, *closing)
    context.notifications.notify(session.id)


def note_closing(context: Context, repl: Repl, ended: Sequence[Statement]) -> None:
    """Have the driver close a repl, and notify those that wait for its statements."""
    note_abandoned(context, ended)
    context.notifications.notify(StatementsChanged(repl.session))
    context.notifications.notify(repl.session)
    if repl.phase is Phase.CLOSING:
        send_close(context, repl)


def note_abandoned(context: Context, ended: Sequence[Statement]) -> None:
    """Count and log statements that ended with their repl, and notify those that wait for them."""
    for statement in ended:
        note_end(context.meter, statement, "abandoned")
        context.notifications.notify((statement.repl, statement.number))
