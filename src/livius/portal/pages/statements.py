"""An activity's statements, as a notebook shows them; and the console that adds one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import Route

from livius.domain.errors import Invalid, NotFound
from livius.domain.sentences import Sentence
from livius.domain.statement import FINAL, OPEN, Kind, Phase, Statement
from livius.portal import printed, words
from livius.portal.desk import Call, Desk, as_file, number, text_file
from livius.portal.live import Look
from livius.portal.pages.activity import BASE, View, find, look_of, show
from livius.portal.printed import Rich
from livius.portal.words import State
from livius.ports.changes import Printed, Topic
from livius.usecases import history, monitoring, statements
from livius.usecases.statements import StatementView, Window
from livius_agent.text import json_bytes

_PAGE: Final = 20
_KINDS: Final = ((Kind.PYSPARK, "PySpark"), (Kind.SQL, "SQL"), (Kind.SPARK, "Scala"))
_RICH_CSP: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src {site} 'unsafe-inline'; "
    "style-src {site} 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One statement as the page shows it."""

    statement: Statement
    path: str
    kind: str
    code: Markup
    state: State
    text: Markup
    text_lines: int
    is_whole: bool
    rich: Rich
    traceback: Markup
    is_open: bool
    may_cancel: bool

    @property
    def is_error(self) -> bool:
        """Tell whether its code failed or was stopped."""
        ending = self.statement.ending
        return ending is not None and not ending.ok


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of statements."""
    one = f"{BASE}/statements/{{number}}"
    return [
        desk.get(BASE, notebook),
        desk.get(f"{BASE}/statements", further, passive=True),
        desk.post(f"{BASE}/statements", run, code=True),
        desk.get(f"{BASE}/statements/live", live, passive=True),
        desk.get(one, cell, passive=True),
        desk.post(f"{one}/cancel", cancel),
        desk.get(f"{one}/text", text),
        desk.get(f"{one}/json", as_json),
        desk.get(f"{one}/rich", rich_frame),
    ]


async def notebook(call: Call) -> Response:
    """Show a page of statements; without a number, the last one, where new ones appear."""
    view = await find(call)
    if not view.may_read:
        return call.go(f"{view.path}/overview")
    look, total = await _look(call, view)
    pages = max(1, -(-total // _PAGE))
    page = _page(call.asked("page"), pages)
    first = (page - 1) * _PAGE
    found, total = await history.list_statements(call.context, view.activity, skip=first, top=_PAGE)
    return show(
        call,
        "activity_statements.html",
        view,
        tab="",
        look=look,
        stream="statements/live",
        cells=[_cell(view, one) for one in found],
        page=page,
        pages=pages,
        total=total,
        after=first + len(found),
        kinds=_KINDS,
    )


def _page(text: str, pages: int) -> int:
    return max(1, min(number(text, pages), pages))


async def further(call: Call) -> Response:
    """Return the statements that came after those that the page has."""
    view = await find(call, whole=True)
    return await _further(call, view, number(call.asked("after"), 0))


async def _further(call: Call, view: View, skip: int) -> Response:
    found, _total = await history.list_statements(call.context, view.activity, skip=skip, top=_PAGE)
    return call.fragment(
        "_cells.html", view=view, cells=[_cell(view, one) for one in found], after=skip + len(found)
    )


async def run(call: Call) -> Response:
    """Submit what the console holds, and return the statement as it stands."""
    view = await find(call, whole=True)
    code = call.sent("code").replace("\r\n", "\n")
    if not code.strip():
        raise Invalid("InvalidInput", Sentence("Write some code first."))
    session = await statements.may_submit(call.context, call.caller, view.session)
    await statements.submit(
        call.context,
        call.caller,
        session,
        code=code,
        kind=call.sent("kind") or None,
        source_id=None,
    )
    if not call.is_fragment:
        return call.go(view.path)
    return await _further(call, view, number(call.sent("after"), 0))


async def cell(call: Call) -> Response:
    """Return one statement; with ``whole``, all of its output."""
    view = await find(call, whole=True)
    which = call.path("number")
    if call.asked("whole"):
        found = await _whole(call, view)
    else:
        found = await history.glance(call.context, view.activity, which)
    return call.fragment("_cell.html", view=view, cell=_cell(view, found))


async def cancel(call: Call) -> Response:
    """Have a statement stopped, and return it as it stands."""
    view = await find(call, whole=True)
    which = call.path("number")
    await statements.cancel_statement(call.context, call.caller, view.session, which)
    if not call.is_fragment:
        return call.go(view.path)
    found = await history.glance(call.context, view.activity, which)
    return call.fragment("_cell.html", view=view, cell=_cell(view, found))


async def text(call: Call) -> Response:
    """Return all that a statement printed, as a file."""
    view = await find(call, whole=True)
    found = await monitoring.activity_statement(
        call.context, view.activity, call.path("number"), Window(size=0)
    )
    statement = found.statement

    async def read(offset: int, size: int) -> bytes:
        return await statements.text_of(call.context, statement, offset=offset, size=size)

    return text_file(read, f"statement-{statement.number}.txt")


async def as_json(call: Call) -> Response:
    """Return a statement's rows as a file."""
    view = await find(call, whole=True)
    found = await _whole(call, view)
    ending = found.statement.ending
    if ending is None or not ending.data or "application/json" not in ending.data:
        raise NotFound("OutputNotFound", Sentence("The statement gave no rows."))
    return Response(
        await asyncio.to_thread(json_bytes, ending.data["application/json"]),
        media_type="application/json",
        headers=as_file(f"statement-{found.statement.number}.json"),
    )


async def rich_frame(call: Call) -> Response:
    """Return a statement's HTML as a document of its own.

    It is of no origin: its scripts run, but reach neither the portal nor the network.
    """
    view = await find(call, whole=True)
    found = await _whole(call, view)
    ending = found.statement.ending
    html = ending.data.get("text/html") if ending is not None and ending.data else None
    if not isinstance(html, str):
        raise NotFound("OutputNotFound", Sentence("The statement gave no HTML."))
    response = call.fragment("rich.html", html=Markup(html))  # noqa: S704 # the frame is its cage
    url = call.request.url
    response.headers["Content-Security-Policy"] = _RICH_CSP.format(
        site=f"{url.scheme}://{url.netloc}"
    )
    del response.headers["Cross-Origin-Opener-Policy"]
    return response


async def _whole(call: Call, view: View) -> StatementView:
    found = await monitoring.activity_statement(call.context, view.activity, call.path("number"))
    return await statements.with_parsed_data(found)


async def live(call: Call) -> Response:
    """Tell when statements come, print, advance and end."""

    async def looker() -> Look:
        look, _total = await _look(call, await find(call, whole=True))
        return look

    return call.stream(looker)


async def _look(call: Call, view: View) -> tuple[Look, int]:
    """Return a version for the head, for the number of statements, and for each that is open.

    And the number.

    One that has just ended needs a version too, so those that were open last are kept in it.
    """
    base, repl = look_of(view), view.activity.session.repl
    recent, total = await call.context.store.list_statements(repl, skip=None, top=_PAGE)
    versions = {**base.versions, "list": str(total)}
    topics: list[Topic] = list(base.topics)
    for one in recent:
        versions[f"s{one.number}"] = f"{one.phase}"
        if one.phase in OPEN and one.phase is not Phase.WAITING:
            size = await call.context.outputs.size(one.session, one.repl, one.number)
            versions[f"s{one.number}"] = f"{one.phase} {size} {one.progress:.2f}"
            topics.append(Printed(one.repl, one.number))
    return Look(versions=versions, topics=tuple(topics)), total


def _cell(view: View, found: StatementView) -> Cell:
    statement = found.statement
    ending = statement.ending
    return Cell(
        statement=statement,
        path=f"{view.path}/statements/{statement.number}",
        kind=dict(_KINDS).get(statement.kind, statement.kind.value),
        code=printed.code_html(statement.code, statement.kind),
        state=words.statement_state(statement),
        text=printed.ansi_html(found.text),
        text_lines=found.text.count("\n") + 1,
        is_whole=found.whole,
        rich=printed.rich(ending.data if ending else None),
        traceback=printed.ansi_html("".join(ending.traceback) if ending else ""),
        is_open=statement.phase not in FINAL,
        may_cancel=view.may_stop and statement.phase in (Phase.WAITING, Phase.RUNNING),
    )
