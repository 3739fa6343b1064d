"""The statements of an activity, for who watches: of ended and deleted sessions too.

The Livy routes know a deleted session no more; its record goes on to say what ran in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from livius.domain.activity import Activity
from livius.domain.statement import FINAL, Statement
from livius.usecases.context import Context
from livius.usecases.statements import (
    StatementView,
    no_statement,
    parse_number,
    whole_characters,
    with_head,
)


async def list_statements(
    context: Context, activity: Activity, *, skip: int, top: int
) -> tuple[Sequence[StatementView], int]:
    """Return one page of an activity's statements in order, and their number.

    Of those that have ended, with the heads of their outputs; of those that run, with what they
    printed last. The activity comes from `livius.usecases.monitoring.own_activity`.
    """
    found, total = await context.store.list_statements(activity.session.repl, skip=skip, top=top)
    return [await _glance(context, one) for one in found], total


async def glance(context: Context, activity: Activity, number: str) -> StatementView:
    """Return one statement as `list_statements` does.

    Raises:
        NotFound: the session has no such statement.
    """
    return await _glance(context, await _find(context, activity, number))


async def _find(context: Context, activity: Activity, number: str) -> Statement:
    found = await context.store.statement(activity.session.repl, parse_number(number))
    if found is None:
        raise no_statement(number)
    return found


async def _glance(context: Context, found: Statement) -> StatementView:
    if found.phase in FINAL:
        return await with_head(context, found)
    most = context.rules.inline_bytes
    size = await context.outputs.size(found.session, found.repl, found.number)
    raw = await context.outputs.read(
        found.session, found.repl, found.number, offset=max(0, size - most), size=most
    )
    return StatementView(found, whole_characters(raw), whole=size <= most)
