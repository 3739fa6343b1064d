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

from livius.domain.activity import OVER, Activity, ActivityState, Order, Position
from livius.domain.errors import Invalid
from livius.domain.ids import SessionId
from livius.domain.messages import Message
from livius.portal import labels
from livius.portal.events import PageVersion, version_of
from livius.portal.labels import N_, State
from livius.portal.pages.activity import activity_path
from livius.portal.pages_base import ROOT, Crumb, Live, PageRequest, Portal, number
from livius.ports.notifications import AnySessionChanged
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
    (N_("Activity name"), "", Order.NAME),
    (N_("Status"), "", Order.STATE),
    (N_("Item type"), "wide", None),
    (N_("Start time"), "", Order.STARTED),
    (N_("Submitted by"), "", Order.SUBMITTER),
    (N_("Location"), "", Order.LOCATION),
    (N_("Duration"), "number", Order.DURATION),
    (N_("Runtime"), "number wide", Order.RUNTIME),
)
"""The columns, each with its style and sort key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's head. ``link`` sorts by it, or reverses the order; ``sorted``: `aria-sort`."""

    label: str
    look: str
    link: str | None
    sorted: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One activity as the list shows it."""

    path: str
    name: str
    state: State
    started: datetime
    ended: datetime | None
    submitter: str
    location: str
    runtime: str
    may_stop: bool


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
    page = await _activities(request, asked, after=_position(request.asked("after")), limit=shown)
    following = None
    if page.following is not None:
        end = page.following
        where = f"{end.created_at.isoformat()}|{end.id}|{end.key}"
        following = asked.query(after=where)
    values: dict[str, Any] = {
        "rows": [row_of(request, one) for one in page.activities],
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
        locations=await _locations(request),
        **values,
    )


async def live(request: PageRequest) -> Response:
    """Stream changes of the list."""
    asked = _asked(request)
    return request.stream(lambda: _look(request, asked, _PAGE))


def _columns(asked: Asked) -> Sequence[Column]:
    found = []
    for label, look, order in COLUMNS:
        link = is_sorted = None
        if order is not None:
            is_this = order is asked.order
            # Times begin with the newest and the longest, words with the first.
            times = (Order.STARTED, Order.DURATION)
            down = not asked.descending if is_this else order in times
            link = replace(asked, sort=f"{'-' if down else ''}{order}").query()
            if is_this:
                is_sorted = "descending" if asked.descending else "ascending"
        found.append(Column(label=label, look=look, link=link, sorted=is_sorted))
    return found


async def _look(request: PageRequest, asked: Asked, shown: int) -> PageVersion:
    page = await _activities(request, asked, after=None, limit=shown)
    return PageVersion(versions={"rows": look_at(page.activities)}, topics=(AnySessionChanged(),))


def look_at(activities: Sequence[Activity]) -> str:
    """Return a version of a list, which differs as soon as a row would look different."""
    return version_of(
        "\n".join(
            f"{one.session.id} {one.state} {one.session.name} "
            f"{one.workspace_name}/{one.lakehouse_name}"
            for one in activities
        )
    )


async def _activities(
    request: PageRequest, asked: Asked, *, after: Position | None, limit: int
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
            request.context, request.caller, workspace, wanted, after=after, limit=limit
        )
    return await monitoring.list_all_activities(
        request.context, request.caller, wanted, after=after, limit=limit
    )


async def _locations(request: PageRequest) -> Sequence[tuple[str, str]]:
    """Return each lakehouse that the caller may see: the filter's value and its name."""
    found: list[tuple[str, str]] = []
    for workspace, _role in await catalog.list_workspaces(request.context, request.caller):
        found.append((str(workspace.id), workspace.name))
        for lakehouse in await catalog.list_lakehouses(
            request.context, request.caller, workspace.id
        ):
            name = f"{workspace.name} / {lakehouse.name}"
            found.append((f"{workspace.id}/{lakehouse.id}", name))
    return found


def row_of(request: PageRequest, activity: Activity) -> Row:
    """Return an activity as lists show it."""
    session = activity.session
    return Row(
        path=activity_path(session),
        name=session.name,
        state=labels.ACTIVITY[activity.state],
        started=session.created_at,
        ended=session.ended_at,
        submitter=session.submitter_name,
        location=f"{activity.workspace_name} / {activity.lakehouse_name}",
        runtime=session.runtime,
        may_stop=activity.state not in OVER and session.submitter == request.caller.oid,
    )


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
