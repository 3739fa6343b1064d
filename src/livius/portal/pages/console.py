"""What a session's console proposes: earlier statements, the lakehouse's names, live ones."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.portal.pages.activity import BASE, find
from livius.portal.pages.repls import select
from livius.portal.pages_base import PageRequest, Portal
from livius.usecases import catalog, lakehouse_browser
from livius.usecases.statement_reads import recent_code
from livius.usecases.statements import complete

_STATEMENTS: Final = 100
_CODE: Final = 256 * 1024
_TABLES: Final = 1000


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of the console's proposals."""
    return [
        portal.get(f"{BASE}/console/history", history),
        portal.get(f"{BASE}/console/catalogue", catalogue),
        portal.get(f"{BASE}/console/names", names, passive=True),
    ]


async def history(request: PageRequest) -> Response:
    """Return the newest statements of the selected repl; the same one in a row is there once."""
    selected = await select(request, await find(request, whole=True))
    found = await recent_code(request.context, selected.repl, top=_STATEMENTS, size=_CODE)
    cells = groupby((one.code, one.kind.value) for one in found)
    return request.json({"statements": [{"code": code, "kind": kind} for (code, kind), _ in cells]})


async def catalogue(request: PageRequest) -> Response:
    """Return the names of the lakehouse's tables, or with ``table`` the columns of one.

    Neither needs Spark.
    """
    view = await find(request, whole=True)
    session, table = view.activity.session, request.asked("table")
    context, caller = request.context, request.caller
    if table:
        look = await lakehouse_browser.describe_table(
            context, caller, session.workspace, session.lakehouse, table
        )
        columns = [{"name": one.name, "type": one.type} for one in look.columns]
        return request.json({"columns": columns})
    _place, found = await catalog.list_tables(context, caller, session.workspace, session.lakehouse)
    return request.json({"tables": [one.name for one in found[:_TABLES]]})


async def names(request: PageRequest) -> Response:
    """Return names for the end of a line of Python, from the selected repl's live objects.

    Nothing runs for it; while a statement runs, there are none.
    """
    selected = await select(request, await find(request, whole=True))
    found: Sequence[str] = ()
    if selected.view.may_run:
        target = selected.view.activity.session, selected.repl
        line = request.asked("line")
        found = await complete(request.context, target, code=line, kind=None, cursor=len(line))
        if not _WITHIN.search(line):
            # The editor proposes these itself, in any session.
            found = [name for name in found if name not in _BUILT_IN]
    return request.json({"names": found})


_WITHIN: Final = re.compile(r"[.\[]\s*[\"']?[^\"']*$|^\s*(?:from|import)\b")
"""A place where names of the whole program don't stand: an attribute, a key, a module."""
_BUILT_IN: Final = frozenset((*dir(builtins), *keyword.kwlist))
