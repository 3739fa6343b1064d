"""The Monitoring hub: every activity that the caller may see (Fabric contract 9.2)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import ActivityState, Order, Position
from livius.domain.errors import Invalid
from livius.domain.ids import SessionId
from livius.domain.lakehouse import Role, Workspace
from livius.domain.messages import Message
from livius.portal import labels
from livius.portal.events import PageVersion
from livius.portal.labels import N_
from livius.portal.pages.activity_rows import Row, rows_of, version_of_rows
from livius.portal.pages_base import ROOT, Crumb, Live, PageRequest, Portal, number
from livius.usecases import catalog, monitoring
from livius.usecases.monitoring import ActivityPage, Wanted

_PAGE: Final = 50
_MOST_AT_ONCE: Final = 300
"""The most rows that a live page fetches again; with more it starts over with so many."""
_LONGEST_TEXT: Final = 200

TIMES: Final[Mapping[str, tuple[str, timedelta | None]]] = {
    "": (N_("Any time"), None),
    "1h": (N_("Last hour"), timedelta(hours=1)),
    "24h": (N_("Last 24 hours"), timedelta(hours=24)),
    "7d": (N_("Last 7 days"), timedelta(days=7)),
    "30d": (N_("Last 30 days"), timedelta(days=30)),
}


COLUMNS: Final = (
    ("", N_("Activity name"), "", Order.NAME),
    ("", N_("Status"), "", Order.STATE),
    ("kind", N_("Type"), "wide", None),
    ("", N_("Start time"), "", Order.STARTED),
    ("ended", N_("End time"), "wide", None),
    ("submitter", N_("Submitted by"), "", Order.SUBMITTER),
    ("location", N_("Location"), "", Order.LOCATION),
    ("", N_("Duration"), "number", Order.DURATION),
    ("runtime", N_("Runtime"), "number wide", Order.RUNTIME),
)
"""The columns: the name of one that can be hidden, label, style and sort key."""
_SAME: Final = ("kind", "submitter", "location", "runtime")
"""The columns that are hidden where all rows have the same: it is said above the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's head. ``link`` sorts by it, or reverses the order; ``sorted``: `aria-sort`."""

    name: str
    label: str
    look: str
    link: str | None
    sorted: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The filters in a request's address."""

    q: str = ""
    status: str = ""
    within: str = ""
    who: str = ""
    location: str = ""
    sort: str = ""

    @property
    def order(self) -> Order:
        """Return the sort key."""
        return Order(self.sort.removeprefix("-")) if self.sort else Order.STARTED

    @property
    def descending(self) -> bool:
        """Tell whether the order is descending. The default is the newest first."""
        return self.sort.startswith("-") or not self.sort

    def query(self, **more: object) -> str:
        """Return the query with the same filters, and further parameters."""
        names = ("q", "status", "within", "who", "location", "sort")
        pairs = {name: getattr(self, name) for name in names} | more
        return urlencode({name: value for name, value in pairs.items() if value not in ("", None)})


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of the hub."""
    return [portal.get("/monitor", hub), portal.get("/monitor/live", live, passive=True)]


async def hub(request: PageRequest) -> Response:
    """Show the list; for htmx only the list or further rows."""
    asked = _asked(request)
    shown = _count(request.asked("shown"))
    look = await _look(request, asked, shown)
    after = _position(request.asked("after"))
    page = await _activities(request, asked, after=after, limit=shown, count=after is None)
    workspaces = await catalog.list_workspaces(request.context, request.caller)
    following = None
    if page.following is not None:
        end = page.following
        where = f"{end.created_at.isoformat()}|{end.id}|{end.key}"
        following = asked.query(after=where)
    rows = await rows_of(request, page.activities, workspaces)
    values: dict[str, Any] = {
        "rows": rows,
        "picks": True,
        "total": page.total,
        "same": _same(rows, asked),
        "following": following,
        "again": asked.query(shown=shown if shown != _PAGE else None),
        "columns": _columns(asked),
        "nothing_yet": not page.activities and asked == Asked(),
    }
    if request.is_fragment:
        return request.fragment(
            "_rows.html" if request.asked("rows") else "_results.html", **values
        )
    return request.page(
        "monitor.html",
        title=request.tr("Monitoring hub"),
        place="monitor",
        crumbs=[Crumb(request.tr("Home"), ROOT), Crumb(request.tr("Monitoring hub"))],
        live=Live(f"{ROOT}/monitor/live?{asked.query()}", look),
        asked=asked,
        states=labels.ACTIVITY,
        times={value: label for value, (label, _length) in TIMES.items()},
        locations=await _locations(request, workspaces),
        **values,
    )


async def live(request: PageRequest) -> Response:
    """Stream changes of the list."""
    asked = _asked(request)
    return request.stream(lambda: _look(request, asked, _PAGE))


def _columns(asked: Asked) -> Sequence[Column]:
    found = []
    for name, label, look, order in COLUMNS:
        link = is_sorted = None
        if order is not None:
            is_this = order is asked.order
            # Times begin with the newest and the longest, words with the first.
            times = (Order.STARTED, Order.DURATION)
            down = not asked.descending if is_this else order in times
            link = replace(asked, sort=f"{'-' if down else ''}{order}").query()
            if is_this:
                is_sorted = "descending" if asked.descending else "ascending"
        css = f"{look} c-{name}" if name else look
        found.append(Column(name=name, label=label, look=css, link=link, sorted=is_sorted))
    return found


def _same(rows: Sequence[Row], asked: Asked) -> Mapping[str, str]:
    """Return the columns in which all rows have the same, with what they have."""
    if len(rows) < 2:  # noqa: PLR2004 - one row has nothing in common
        return {}
    found = {name: {getattr(row, name) for row in rows} for name in _SAME}
    by = asked.order.value
    return {name: has.pop() for name, has in found.items() if len(has) == 1 and name != by}


async def _look(request: PageRequest, asked: Asked, shown: int) -> PageVersion:
    page = await _activities(request, asked, after=None, limit=shown)
    return await version_of_rows(request, page.activities)


async def _activities(
    request: PageRequest, asked: Asked, *, after: Position | None, limit: int, count: bool = False
) -> ActivityPage:
    _label, length = TIMES[asked.within]
    workspace, _slash, lakehouse = asked.location.partition("/")
    wanted = Wanted(
        lakehouse=lakehouse or None,
        states=frozenset({ActivityState(asked.status)}) if asked.status else None,
        submitter=request.caller.oid if asked.who else None,
        submitted_from=request.context.clock.now() - length if length else None,
        text=asked.q or None,
        order=asked.order,
        descending=asked.descending,
    )
    if workspace:
        return await monitoring.list_activities(
            request.context,
            request.caller,
            workspace,
            wanted,
            after=after,
            limit=limit,
            count=count,
        )
    return await monitoring.list_all_activities(
        request.context, request.caller, wanted, after=after, limit=limit, count=count
    )


async def _locations(
    request: PageRequest, workspaces: Sequence[tuple[Workspace, Role]]
) -> Sequence[tuple[str, str]]:
    """Return each lakehouse that the caller may see: the filter's value and its name."""
    found: list[tuple[str, str]] = []
    for workspace, _role in workspaces:
        found.append((str(workspace.id), workspace.name))
        for lakehouse in await catalog.list_lakehouses(
            request.context, request.caller, workspace.id
        ):
            name = f"{workspace.name} / {lakehouse.name}"
            found.append((f"{workspace.id}/{lakehouse.id}", name))
    return found


def _asked(request: PageRequest) -> Asked:
    """Read the filters. Raises: Invalid: one of them is not on the page."""
    asked = Asked(
        q=request.asked("q").strip(),
        status=request.asked("status"),
        within=request.asked("within"),
        who=request.asked("who"),
        location=request.asked("location"),
        sort=request.asked("sort"),
    )
    if (
        len(asked.q) > _LONGEST_TEXT
        or asked.status not in ("", *ActivityState)
        or asked.within not in TIMES
        or asked.who not in ("", "me")
        or (asked.sort and asked.sort.removeprefix("-") not in tuple(Order))
    ):
        raise Invalid(
            "InvalidInput", Message("There is no such filter. Choose from those on the page.")
        )
    return asked


def _count(text: str) -> int:
    """Return the number of rows; one page if the value is no number."""
    return max(1, min(number(text, _PAGE), _MOST_AT_ONCE))


def _position(text: str) -> Position | None:
    """Read the position at which a page ended. Raises: Invalid: no page has made it."""
    if not text:
        return None
    moment, session, key = (*text.split("|", 2), "", "")[:3]
    with contextlib.suppress(ValueError):
        at = datetime.fromisoformat(moment)
        if at.tzinfo is not None:
            return Position(at, SessionId(session), key)
    raise Invalid("InvalidInput", Message("There is no such position in the list."))
