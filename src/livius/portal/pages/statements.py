"""An activity's statements, as a notebook shows them; and the console that adds one."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from markupsafe import Markup
from msgspec import Raw
from msgspec.json import Decoder
from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER
from livius.domain.errors import Invalid, NotFound
from livius.domain.ids import ReplId
from livius.domain.jobs import StatementJobs
from livius.domain.messages import Message
from livius.domain.statement import FINAL, Kind, Phase, Statement
from livius.portal import grids, labels, output_html
from livius.portal.events import statement_events, version_of
from livius.portal.grids import Grid
from livius.portal.labels import State
from livius.portal.output_html import Rich
from livius.portal.pages.activity import BASE, View, find, show
from livius.portal.pages.repls import Selected, select
from livius.portal.pages_base import PageRequest, Portal, as_file, number, text_file
from livius.usecases import statements
from livius.usecases.event_feed import Followed, parse_position, repl_feed, shown_position
from livius.usecases.statement_reads import (
    StatementView,
    Window,
    get_statement,
    list_statements,
    statement_head,
    statement_with_data,
    text_of,
)

_Data = TypeVar("_Data")
_PARSED: Final = Decoder(dict[str, Any])
_VALUES: Final = Decoder(dict[str, Raw])
_PAGE: Final = 20
_LONGEST_TABLE: Final = 512
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
    part: str
    kind: str
    code: Markup
    state: State
    text: Markup
    text_lines: int
    has_columns: bool
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


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of statements."""
    one = f"{BASE}/statements/{{number}}"
    return [
        portal.get(BASE, notebook),
        portal.get(f"{BASE}/statements", further, passive=True),
        portal.post(f"{BASE}/statements", run, code=True),
        portal.get(f"{BASE}/statements/live", live, passive=True),
        portal.get(one, cell, passive=True),
        portal.post(f"{one}/cancel", cancel),
        portal.get(f"{one}/text", text),
        portal.get(f"{one}/json", as_json),
        portal.get(f"{one}/csv", as_csv),
        portal.get(f"{one}/rows", rows),
        portal.get(f"{one}/rich", rich_frame),
    ]


async def notebook(request: PageRequest) -> Response:
    """Show some statements; if the request names none, the last ones, where new ones appear."""
    view = await find(request)
    if not view.may_read:
        return request.go(f"{view.path}/overview")
    selected = await select(request, view)
    view = selected.view
    _none, total = await list_statements(request.context, selected.repl, skip=0, top=0)
    until = _until(request, total)
    first = max(0, until - _PAGE)
    found, total = await list_statements(
        request.context, selected.repl, skip=first, top=_PAGE, follow=True
    )
    after = first + len(found)
    is_last = after >= total
    return await show(
        request,
        "activity_statements.html",
        view,
        tab="",
        # Of an ended session nothing changes any more.
        seen=None
        if view.activity.state in OVER
        else shown_position(_followed(selected), found if is_last else (), total),
        stream="statements/live",
        nonce=secrets.token_urlsafe(16),
        cells=[await _cell(view, one) for one in found],
        first=first,
        is_last=is_last,
        total=total,
        after=after,
        page_size=_PAGE,
        kinds=_KINDS,
        selected=selected,
        draft=_query_of(request.asked("table")),
    )


def cell_link(view: View, number: int, repl: ReplId | None) -> str:
    """Return the address of a statement's cell; of a shared session's, with its repl."""
    named = {"repl": repl} if repl is not None else {}
    return f"{view.link(statement=number, **named)}#s{number}"


def _query_of(table: str) -> str:
    """Return a first query of a table that a link names; none without one.

    A link names a table and no code: code in the console is the user's own, or ours.
    """
    parts = table[:_LONGEST_TABLE].split(".")
    quoted = ".".join(f"`{part.replace('`', '``')}`" for part in parts)
    query = f"SELECT * FROM {quoted} LIMIT 100"  # noqa: S608 - shown to the user, quoted
    return query if table.isprintable() and table else ""


def _until(request: PageRequest, total: int) -> int:
    """Return the number of the statement before which the page's statements are.

    A request names it, or a statement that is to be in the middle.
    """
    wanted = number(request.asked("statement"), -1)
    until = wanted + 1 + _PAGE // 2 if wanted >= 0 else number(request.asked("until"), total)
    return min(max(until, _PAGE), total)


async def further(request: PageRequest) -> Response:
    """Return the statements that are newer than the page's, or those before its first one.

    As each part that is fetched, they are without the text of running ones: the stream brings it.
    """
    selected = await _selected(request)
    if "before" in request.http.query_params:
        return await _earlier(request, selected, number(request.asked("before"), 0))
    return await _further(request, selected, number(request.asked("after"), 0))


async def _selected(request: PageRequest) -> Selected:
    return await select(request, await find(request, whole=True))


async def _further(request: PageRequest, selected: Selected, skip: int) -> Response:
    view = selected.view
    found, _total = await list_statements(request.context, selected.repl, skip=skip, top=_PAGE)
    return request.fragment(
        "_cells.html",
        view=view,
        cells=[await _cell(view, one) for one in found],
        after=skip + len(found),
    )


async def _earlier(request: PageRequest, selected: Selected, before: int) -> Response:
    first = max(0, before - _PAGE)
    found, total = await list_statements(
        request.context, selected.repl, skip=first, top=min(before, _PAGE)
    )
    return request.fragment(
        "_earlier.html",
        view=selected.view,
        cells=[await _cell(selected.view, one) for one in found],
        first=first,
        total=total,
        page_size=_PAGE,
    )


async def run(request: PageRequest) -> Response:
    """Submit the console's code to the selected repl, and return the statement."""
    selected = await _selected(request)
    view = selected.view
    code = request.sent("code").replace("\r\n", "\n")
    if not code.strip():
        raise Invalid("InvalidInput", Message("Write some code first."))
    target = await statements.may_submit(request.context, request.caller, view.session)
    await statements.submit(
        request.context,
        request.caller,
        target,
        code=code,
        kind=request.sent("kind") or None,
        source_id=None,
    )
    if not request.is_fragment:
        return request.go(view.link())
    return await _further(request, selected, number(request.sent("after"), 0))


async def cell(request: PageRequest) -> Response:
    """Return one statement; with ``whole``, its data even if they are large."""
    selected = await _selected(request)
    view = selected.view
    if request.asked("whole"):
        found = await statement_with_data(request.context, selected.repl, request.path("number"))
    else:
        found = await statement_head(request.context, selected.repl, request.path("number"))
    return request.fragment("_cell.html", view=view, cell=await _cell(view, found))


async def cancel(request: PageRequest) -> Response:
    """Cancel a statement, and return it."""
    selected = await _selected(request)
    view, which = selected.view, request.path("number")
    await statements.cancel_statement(request.context, request.caller, view.session, which)
    if not request.is_fragment:
        return request.go(view.link())
    found = await statement_head(request.context, selected.repl, which)
    return request.fragment("_cell.html", view=view, cell=await _cell(view, found))


async def text(request: PageRequest) -> Response:
    """Return a statement's text as a file."""
    selected = await _selected(request)
    found = await get_statement(
        request.context, selected.repl, request.path("number"), Window(size=0)
    )
    statement = found.statement

    async def read(offset: int, size: int) -> bytes:
        return await text_of(request.context, statement, offset=offset, size=size)

    return text_file(read, f"statement-{statement.number}.txt")


async def as_json(request: PageRequest) -> Response:
    """Return a statement's rows as a file."""
    found = await _whole(request, await _selected(request))
    rows = (await _data(found, _VALUES)).get("application/json")
    if rows is None:
        raise NotFound("OutputNotFound", Message("The statement returned no rows."))
    return Response(
        bytes(rows),
        media_type="application/json",
        headers=as_file(f"statement-{found.statement.number}.json"),
    )


async def as_csv(request: PageRequest) -> Response:
    """Return all rows of one of a statement's tables as a file."""
    number, grid = await _grid(request, most=sys.maxsize, longest=None)
    return Response(
        await asyncio.to_thread(grids.as_csv, grid),
        media_type="text/csv; charset=utf-8",
        headers=as_file(f"statement-{number}.csv"),
    )


async def rows(request: PageRequest) -> Response:
    """Return the rows of one of a statement's tables for the page's grid, as many as it takes."""
    _number, grid = await _grid(request, most=grids.MOST_ROWS, longest=grids.LONGEST_CELL)
    return request.json({"rows": grid.rows})


async def _grid(request: PageRequest, *, most: int, longest: int | None) -> tuple[int, Grid]:
    repl = (await _selected(request)).repl
    found = await statement_with_data(request.context, repl, request.path("number"))
    data = await _data(found, _PARSED)
    tables = await asyncio.to_thread(grids.grids_of, data, most=most, longest=longest)
    which = number(request.asked("table"), 0)
    if which >= len(tables):
        raise NotFound("OutputNotFound", Message("The statement returned no rows."))
    return found.statement.number, tables[which]


async def rich_frame(request: PageRequest) -> Response:
    """Return a statement's HTML as a separate document.

    It has no origin: its scripts run, but reach neither the portal nor the network.
    """
    found = await _whole(request, await _selected(request))
    html = (await _data(found, _PARSED)).get("text/html")
    if not isinstance(html, str):
        raise NotFound("OutputNotFound", Message("The statement returned no HTML."))
    response = request.fragment("rich.html", html=Markup(html))  # noqa: S704 # the frame is its cage
    url = request.http.url
    response.headers["Content-Security-Policy"] = _RICH_CSP.format(
        site=f"{url.scheme}://{url.netloc}"
    )
    del response.headers["Cross-Origin-Opener-Policy"]
    return response


async def _whole(request: PageRequest, selected: Selected) -> StatementView:
    return await get_statement(request.context, selected.repl, request.path("number"))


async def _data(found: StatementView, decoder: Decoder[_Data]) -> _Data:
    """Return a statement's data by MIME type.

    Raises:
        NotFound: it can't be read.
    """
    try:
        return await asyncio.to_thread(decoder.decode, found.data or b"{}")
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NotFound(
            "OutputNotFound", Message("The output can't be read: %(error)s.", error=str(error))
        ) from error


async def live(request: PageRequest) -> Response:
    """Stream what happens in the session and in the selected repl."""

    async def enter() -> Followed:
        await request.check()
        return _followed(await _selected(request))

    try:
        seen = parse_position(request.seen) if request.seen else None
    except Invalid:
        seen = None
    feed = await repl_feed(
        request.context, enter, seen=seen, most=request.context.rules.inline_bytes
    )
    return request.serve(statement_events(feed, partial(_progress, request)))


def _followed(selected: Selected) -> Followed:
    activity, queue = selected.view.activity, selected.view.queue
    place = selected.view.building or (queue and queue.position)
    version = version_of(f"{activity.state} {selected.version} {place}")
    return Followed(activity.session, selected.repl, version)


def _progress(request: PageRequest, statement: Statement, jobs: StatementJobs) -> str:
    """Return a running statement's progress in words: its jobs, stages and tasks."""
    stages = [stage for job in jobs.jobs for stage in job.stages]
    active = sum(job.ended_at is None for job in jobs.jobs)
    return request.text(
        "_progress.html",
        statement=statement,
        jobs=(jobs.total - active, jobs.total),
        stages=(sum(stage.status == "COMPLETE" for stage in stages), len(stages)),
        tasks=(
            sum(job.done + job.skipped for job in jobs.jobs),
            sum(job.tasks for job in jobs.jobs),
        ),
    )


async def _cell(view: View, found: StatementView) -> Cell:
    statement = found.statement
    ending = statement.ending
    data = await _data(found, _PARSED)
    rich = await asyncio.to_thread(output_html.rich, data)
    text = found.text
    if rich:
        # Of SQL it only says how many rows there are, as the grid does.
        is_sql = statement.kind is Kind.SQL
        text = "" if is_sql else output_html.beside_rich(text, tables=len(rich.tables))
    return Cell(
        statement=statement,
        part=f"statements/{statement.number}",
        kind=dict(_KINDS).get(statement.kind, statement.kind.value),
        code=await asyncio.to_thread(output_html.code_html, statement.code, statement.kind),
        state=labels.statement_state(statement),
        text=output_html.ansi_html(text),
        text_lines=text.count("\n") + 1,
        has_columns=output_html.has_columns(text),
        is_whole=found.whole,
        rich=rich,
        traceback=output_html.ansi_html("".join(ending.traceback) if ending else ""),
        is_open=statement.phase not in FINAL,
        may_cancel=view.may_stop and statement.phase in (Phase.WAITING, Phase.RUNNING),
    )
