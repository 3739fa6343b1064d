"""An activity's statements, as a notebook shows them; and the console that adds one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from markupsafe import Markup
from msgspec import Raw
from msgspec.json import Decoder
from starlette.responses import Response
from starlette.routing import Route

from livius.domain.errors import Invalid, NotFound
from livius.domain.messages import Message
from livius.domain.statement import ACTIVE, FINAL, Kind, Phase, Statement
from livius.portal import labels, output_html
from livius.portal.events import PageVersion
from livius.portal.labels import State
from livius.portal.output_html import Rich
from livius.portal.pages.activity import BASE, View, find, show, version_of
from livius.portal.pages.repls import Selected, select
from livius.portal.pages_base import PageRequest, Portal, as_file, number, text_file
from livius.ports.notifications import OutputGrew, Topic
from livius.usecases import statements
from livius.usecases.statement_reads import (
    StatementView,
    Window,
    get_statement,
    latest_statements,
    list_statements,
    statement_head,
    text_of,
)

_Data = TypeVar("_Data")
_PARSED: Final = Decoder(dict[str, Any])
_VALUES: Final = Decoder(dict[str, Raw])
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
    part: str
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
        portal.get(f"{one}/rich", rich_frame),
    ]


async def notebook(request: PageRequest) -> Response:
    """Show a page of statements; without a number, the last one, where new ones appear."""
    view = await find(request)
    if not view.may_read:
        return request.go(f"{view.path}/overview")
    selected = await select(request, view)
    view = selected.view
    look, total = await _look(request, selected)
    pages = max(1, -(-total // _PAGE))
    page = _page(request.asked("page"), pages)
    first = (page - 1) * _PAGE
    found, total = await list_statements(
        request.context, selected.repl, skip=first, top=_PAGE, follow=True
    )
    return show(
        request,
        "activity_statements.html",
        view,
        tab="",
        look=look,
        stream="statements/live",
        cells=[await _cell(view, one) for one in found],
        page=page,
        pages=pages,
        total=total,
        after=first + len(found),
        kinds=_KINDS,
        selected=selected,
    )


def _page(text: str, pages: int) -> int:
    return max(1, min(number(text, pages), pages))


async def further(request: PageRequest) -> Response:
    """Return the statements that are newer than the page's."""
    selected = await _selected(request)
    return await _further(request, selected, number(request.asked("after"), 0))


async def _selected(request: PageRequest) -> Selected:
    return await select(request, await find(request, whole=True))


async def _further(request: PageRequest, selected: Selected, skip: int) -> Response:
    view = selected.view
    found, _total = await list_statements(
        request.context, selected.repl, skip=skip, top=_PAGE, follow=True
    )
    return request.fragment(
        "_cells.html",
        view=view,
        cells=[await _cell(view, one) for one in found],
        after=skip + len(found),
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
    """Return one statement; with ``whole``, its whole output."""
    selected = await _selected(request)
    view = selected.view
    if request.asked("whole"):
        found = await _whole(request, selected)
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
    """Stream changes of statements."""

    async def looker() -> PageVersion:
        look, _total = await _look(request, await _selected(request))
        return look

    return request.stream(looker)


async def _look(request: PageRequest, selected: Selected) -> tuple[PageVersion, int]:
    """Return a version for the head, for the number of statements, and for each that is open.

    And the number.

    One that has just ended needs a version too, so those that were open last are kept in it.
    """
    base = version_of(selected.view)
    latest, total = await latest_statements(request.context, selected.repl, _PAGE)
    versions = {**base.versions, **selected.versions, "list": str(total)}
    topics: list[Topic] = list(base.topics)
    for one, size in latest:
        versions[f"s{one.number}"] = f"{one.phase}"
        if one.phase in ACTIVE:
            versions[f"s{one.number}"] = f"{one.phase} {size} {one.progress:.2f}"
            topics.append(OutputGrew(one.repl, one.number))
    return PageVersion(versions=versions, topics=tuple(topics)), total


async def _cell(view: View, found: StatementView) -> Cell:
    statement = found.statement
    ending = statement.ending
    data = await _data(found, _PARSED)
    return Cell(
        statement=statement,
        part=f"statements/{statement.number}",
        kind=dict(_KINDS).get(statement.kind, statement.kind.value),
        code=output_html.code_html(statement.code, statement.kind),
        state=labels.statement_state(statement),
        text=output_html.ansi_html(found.text),
        text_lines=found.text.count("\n") + 1,
        is_whole=found.whole,
        rich=output_html.rich(data),
        traceback=output_html.ansi_html("".join(ending.traceback) if ending else ""),
        is_open=statement.phase not in FINAL,
        may_cancel=view.may_stop and statement.phase in (Phase.WAITING, Phase.RUNNING),
    )
