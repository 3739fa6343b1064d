"""Monitoring: activities, their logs, and Spark's pages of them (Fabric contract 6).

Every role in a workspace may see its list and records. Only the submitter and the workspace's
Admins see conf, code, outputs and logs. Deleted sessions are listed like others.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final

from livius.domain.activity import STEPS, Activity, ActivityState, Order, Position, sorted_by
from livius.domain.errors import Forbidden, Invalid, NotFound
from livius.domain.high_concurrency import HighConcurrencySession
from livius.domain.ids import LakehouseId, PrincipalId, SessionId, WorkspaceId, parse_id
from livius.domain.lakehouse import Role
from livius.domain.messages import Message
from livius.domain.permissions import MONITOR, check_scopes
from livius.domain.principal import Principal
from livius.domain.repl import Repl
from livius.domain.session import FINAL, Phase, Session
from livius.ports.history import EventLog, Opening
from livius.ports.logs import LogFile, SparkAddress, SparkPage
from livius.ports.store import ActivityQuery
from livius.usecases.access import enter_workspace, entered
from livius.usecases.catalog import list_workspaces
from livius.usecases.context import Context
from livius.usecases.sessions import SIZES_TAG, WITHOUT_EFFECT_TAG

MAX_PAGE: Final = 1000
MOST_COUNTED: Final = 10_001
"""An exact count of more costs more than it says."""
_PART: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_UI_PAGES: Final[Mapping[str, frozenset[str]]] = {
    "jobs": frozenset({"job"}),
    "stages": frozenset({"stage", "pool", "taskThreadDump"}),
    "storage": frozenset({"rdd"}),
    "environment": frozenset(),
    "executors": frozenset({"threadDump"}),
    "SQL": frozenset({"execution"}),
    "StreamingQuery": frozenset({"statistics"}),
    "streaming": frozenset({"batch"}),
    "connect": frozenset({"session"}),
}
"""The read-only pages of the Spark UI, below their tabs.

Others have effects: a GET of ``kill`` ends jobs and stages, and a heap histogram stops the driver
for a full collection.
"""
_DEEPEST_PAGE: Final = 2
_UI_APPLICATIONS: Final = ("api", "v1", "applications")
_UI_DATA: Final = (("static",), _UI_APPLICATIONS, ("api", "v1", "version"))
"""The files that those pages load."""
_OFFERED: Final = frozenset(
    {"jobs", "stages", "executors", "allexecutors", "sql", "storage", "environment", "streaming"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A caller's query for activities; see `ActivityQuery`. Its ids are unchecked."""

    lakehouse: str | None = None
    states: frozenset[ActivityState] | None = None
    submitter: str | None = None
    submitted_from: datetime | None = None
    submitted_until: datetime | None = None
    ended_from: datetime | None = None
    ended_until: datetime | None = None
    text: str | None = None
    order: Order = Order.STARTED
    descending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityPage:
    """Activities, newest first, and where the next page begins; None: there is none.

    ``total`` counts those of all pages, up to `MOST_COUNTED`, if that was asked for.
    """

    activities: Sequence[Activity]
    following: Position | None
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step in the life of an activity. ``name`` is one of `livius.domain.activity.STEPS`."""

    name: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfView:
    """The conf of a session: the requested one, the effective one, and keys without effect.

    ``effective`` is the whole conf that Spark runs with, secrets redacted; empty until it runs.
    """

    asked: Mapping[str, str]
    effective: Mapping[str, str]
    without_effect: tuple[str, ...]
    sizes_asked: Mapping[str, str]
    sizes_in_effect: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityDetail:
    """An activity with its steps. ``conf`` is None if the caller may see the record only."""

    activity: Activity
    steps: Sequence[Step]
    conf: ConfView | None


SIZES: Final = (
    *("driverMemory", "driverCores", "executorMemory", "executorCores", "numExecutors"),
)
"""The sizes of a create request, by their names there."""


async def busy_among(context: Context, sessions: Sequence[Session]) -> Collection[SessionId]:
    """Return those of the sessions that run code, or have some that waits."""
    ready = [one.id for one in sessions if one.phase is Phase.READY]
    return await context.store.busy(ready) if ready else ()


async def list_activities(
    context: Context,
    caller: Principal,
    workspace: str,
    wanted: Wanted,
    *,
    after: Position | None = None,
    limit: int,
    count: bool = False,
) -> ActivityPage:
    """Return one page of a workspace's activities, everybody's.

    Raises:
        NotFound: there is no such workspace, or no such lakehouse in it.
        Forbidden: the caller has no role in the workspace.
    """
    found, _role = await enter_workspace(context, caller, workspace, MONITOR)
    places = frozenset({found.id})
    return await _page(context, places, wanted, after=after, limit=limit, count=count)


async def list_all_activities(
    context: Context,
    caller: Principal,
    wanted: Wanted,
    *,
    after: Position | None = None,
    limit: int,
    count: bool = False,
) -> ActivityPage:
    """Return one page of the activities of every workspace that the caller has a role in."""
    seen = frozenset(one.id for one, _role in await list_workspaces(context, caller))
    return await _page(context, seen, wanted, after=after, limit=limit, count=count)


async def _page(
    context: Context,
    workspaces: frozenset[WorkspaceId],
    wanted: Wanted,
    *,
    after: Position | None,
    limit: int,
    count: bool,
) -> ActivityPage:
    lakehouse = await _lakehouse_of(context, workspaces, wanted.lakehouse)
    conditions = {
        field.name: getattr(wanted, field.name)
        for field in dataclasses.fields(wanted)
        if field.name not in ("lakehouse", "submitter")
    }
    submitter = PrincipalId(wanted.submitter.lower()) if wanted.submitter is not None else None
    # One more than requested, to know whether there is a next page.
    query = ActivityQuery(
        workspaces=workspaces,
        lakehouse=lakehouse,
        submitter=submitter,
        after=after,
        limit=limit + 1,
        **conditions,
    )
    found = await context.store.activities(query)
    page = found[:limit]
    last = page[-1] if len(found) > limit and page else None
    return ActivityPage(
        activities=page,
        following=_position(last, wanted.order) if last is not None else None,
        total=await _total(context, query, len(page), is_last=last is None) if count else None,
    )


async def _total(context: Context, query: ActivityQuery, shown: int, *, is_last: bool) -> int:
    if is_last and query.after is None:
        return shown
    every = dataclasses.replace(query, after=None, limit=MOST_COUNTED)
    return await context.store.count_activities(every)


async def _lakehouse_of(
    context: Context, workspaces: frozenset[WorkspaceId], text: str | None
) -> LakehouseId | None:
    """Return the lakehouse that a request names, if it names one.

    Raises:
        NotFound: there is no such lakehouse in any of the workspaces.
    """
    if text is None:
        return None
    lakehouse = LakehouseId(_item_id(text))
    found = await context.store.lakehouse(lakehouse)
    if found is None or found.workspace not in workspaces:
        raise no_item(text)
    return lakehouse


def _position(last: Activity, order: Order) -> Position:
    return Position(last.session.created_at, last.session.id, sorted_by(last, order))


async def get_activity(
    context: Context,
    caller: Principal,
    workspace: str,
    session: str,
    *,
    lakehouse: str | None = None,
) -> Activity:
    """Return one activity. Every role in the workspace may see it.

    Raises:
        NotFound: there is no such workspace or activity, or it is not of the lakehouse.
        Forbidden: the caller has no role in the workspace.
    """
    opened = await open_activity(context, caller, workspace, session, lakehouse=lakehouse)
    return opened.activity


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenActivity:
    """An activity, the caller's role in its workspace, and whether the caller may read it whole."""

    activity: Activity
    role: Role
    may_read: bool


async def open_activity(
    context: Context,
    caller: Principal,
    workspace: str,
    session: str,
    *,
    lakehouse: str | None = None,
) -> OpenActivity:
    """Return an activity with the caller's rights. It is usually a single transaction.

    Raises:
        NotFound: there is no such workspace or activity, or it is not of the lakehouse.
        Forbidden: the caller has no role in the workspace.
    """
    check_scopes(caller, MONITOR)
    workspace_id = WorkspaceId(parse_id(workspace, what="Workspace"))
    try:
        session_id = SessionId(parse_id(session, what="Session"))
    except NotFound:
        session_id = None
    found = await context.store.find_activity(workspace_id, session_id, PrincipalId(caller.oid))
    _found, role = entered(caller, workspace_id, found.workspace, found.role, MONITOR)
    item = await _lakehouse_of(context, frozenset({workspace_id}), lakehouse)
    activity = found.activity
    if activity is None or (item is not None and activity.session.lakehouse != item):
        raise _no_session(session)
    return OpenActivity(
        activity=activity,
        role=role,
        may_read=role is Role.ADMIN or activity.session.submitter == caller.oid,
    )


async def own_activity(
    context: Context,
    caller: Principal,
    workspace: str,
    session: str,
    *,
    lakehouse: str | None = None,
) -> Activity:
    """Return one activity whose conf, code, outputs and logs the caller may read.

    Raises:
        NotFound: as for `get_activity`.
        Forbidden: the caller is neither its submitter nor an Admin of the workspace.
    """
    opened = await open_activity(context, caller, workspace, session, lakehouse=lakehouse)
    check_may_read(opened)
    return opened.activity


async def activity_repl(context: Context, session: Session) -> Repl:
    """Return the first repl of an activity that the caller may read: a plain session's only one."""
    found = await context.store.repl(session.first_repl)
    if found is None:
        raise AssertionError("a session is recorded with its first repl")
    return found


async def shared_repls(
    context: Context, session: Session
) -> Sequence[tuple[Repl, HighConcurrencySession | None]]:
    """Return all repls that a shared session ever had, with their handles, the oldest first."""
    return await context.store.repls_of_session(session.id)


def check_may_read(opened: OpenActivity) -> None:
    """Refuse a caller who may not read the activity's conf, code, outputs and logs.

    Raises:
        Forbidden: the caller is neither its submitter nor an Admin of the workspace.
    """
    if not opened.may_read:
        raise Forbidden(
            "InsufficientPrivileges",
            Message(
                "Only the submitter of a session and the workspace's Admins can see its "
                "logs, conf, code and outputs."
            ),
        )


async def steps(context: Context, session: Session) -> Sequence[Step]:
    """Return the steps that a session has taken, in order, with their moments."""
    moments = {name: session.times.get(phase) for name, phase in STEPS.items() if phase}
    moments["first_statement"] = await context.store.first_started_at(session.id)
    moments["ended"] = session.ended_at
    return [Step(name=name, at=at) for name in STEPS if (at := moments[name]) is not None]


async def describe(
    context: Context,
    caller: Principal,
    workspace: str,
    session: str,
    *,
    lakehouse: str | None = None,
) -> ActivityDetail:
    """Return all details of an activity that the caller may see, without statements and logs.

    Raises:
        NotFound: there is no such workspace or activity, or it is not of the lakehouse.
        Forbidden: the caller has no role in the workspace.
    """
    opened = await open_activity(context, caller, workspace, session, lakehouse=lakehouse)
    found = opened.activity.session
    return ActivityDetail(
        activity=opened.activity,
        steps=await steps(context, found),
        conf=await conf_of(context, found) if opened.may_read else None,
    )


async def conf_of(context: Context, session: Session) -> ConfView:
    """Return the conf of a session that the caller may read."""
    asked = session.request.get("conf")
    ignored, sizes = session.tags.get(WITHOUT_EFFECT_TAG), session.tags.get(SIZES_TAG)
    return ConfView(
        asked=dict(asked) if isinstance(asked, Mapping) else {},
        effective=await context.store.effective_conf(session.id),
        without_effect=tuple(ignored.split(",")) if ignored else (),
        sizes_asked={name: str(session.request[name]) for name in SIZES if name in session.request},
        sizes_in_effect=dict(pair.split("=", 1) for pair in sizes.split(",")) if sizes else {},
    )


async def driver_logs(context: Context, activity: Activity) -> Sequence[LogFile]:
    """Return the logs of an activity's driver."""
    return await context.logs.files(activity.session.driver)


async def read_driver_log(
    context: Context, activity: Activity, name: str, *, offset: int, size: int
) -> bytes:
    """Return a piece of a driver's log: up to ``size`` bytes from the offset.

    Raises:
        NotFound: the driver has no log of this name.
    """
    names = {file.name for file in await context.logs.files(activity.session.driver)}
    if name not in names:
        known = ", ".join(sorted(names)) or "none: it never printed, or is past keeping"
        raise NotFound(
            "SparkCoreItemNotFound",
            Message(
                "There is no log %(name)s. There is: %(known)s.", name=repr(name[:40]), known=known
            ),
        )
    return await context.logs.read(activity.session.driver, name, offset=offset, size=size)


async def spark_page(
    context: Context,
    activity: Activity,
    application: str,
    path: str,
    query: Mapping[str, str],
) -> bytes:
    """Return the JSON that Spark's REST API has under a path of a session's application.

    The empty path is the application itself.

    Of an ended session it is Spark's History Server's.

    Raises:
        NotFound: no such application or path, or its driver has ended without an event log.
        Unavailable: the driver does not answer, or the History Server is not ready in time.
    """
    session = activity.session
    check_application(session, application)
    parts = [part for part in path.split("/") if part]
    if not all(_PART.fullmatch(part) for part in parts):
        raise Invalid("InvalidInput", Message("The path has a name that Spark does not use."))
    if parts and parts[0] not in _OFFERED:
        raise NotFound(
            "SparkCoreItemNotFound",
            f"{parts[0]} is not offered. There is: {', '.join(sorted(_OFFERED))}.",
        )
    return await context.pages.get(await _address(context, session), "/".join(parts), query)


async def spark_ui(
    context: Context, activity: Activity, path: str, query: str, *, root: str
) -> SparkPage:
    """Return one of the Spark UI's pages of a session; their links begin with ``root``.

    The activity comes from `own_activity`. The path that Spark gets is built from known parts, so
    no other path, encoded or not, gets through. A History Server has pages of other sessions too:
    only those of this one's driver are returned.

    Raises:
        NotFound: its driver has ended without an event log, or it has no such read-only page.
        Unavailable: the driver does not answer, or the History Server is not ready in time.
    """
    at = await _address(context, activity.session)
    parts = [part for part in path.split("/") if part]
    if at.is_history:
        here = ("history", at.application)
        if not parts or (parts[0] in _UI_PAGES and len(parts) <= _DEEPEST_PAGE):
            # The top of the History Server lists applications, and a page that was opened while
            # the driver ran has the driver's paths.
            return _moved("/".join(("", *here, *(parts or ["jobs"]))) + "/", query)
        is_offered = (
            _is_ui_page(parts[2:]) and parts[2:3] not in (["static"], ["api"])
            if tuple(parts[:2]) == here
            else _is_ui_file(parts, at.application)
        )
    else:
        is_offered = _is_ui_page(parts)
    if not is_offered:
        raise NotFound(
            "SparkPageNotOffered",
            Message(
                "This page of the Spark UI is not available here, because it can change "
                "something. To stop running work, cancel its statement."
            ),
        )
    path = "/".join(parts) + ("/" if parts and path.endswith("/") else "")
    return await context.pages.page(at, path, query, root=root)


def _moved(path: str, query: str) -> SparkPage:
    leads_to = f"{path}?{query}" if query else path
    return SparkPage(status=302, kind="text/plain", body=b"", leads_to=leads_to)


def _is_ui_page(parts: Sequence[str]) -> bool:
    if _is_ui_file(parts, None):
        return True
    match parts:
        case []:
            return True
        case [tab]:
            return tab in _UI_PAGES
        case [tab, page]:
            return page in _UI_PAGES.get(tab, ())
        case _:
            return False


def _is_ui_file(parts: Sequence[str], application: str | None) -> bool:
    """Tell whether pages load this; data only of the application, if there are several."""
    if not all(_PART.fullmatch(part) for part in parts):
        return False
    of_applications = application is None or parts[3:4] == [application]
    return any(
        tuple(parts[: len(known)]) == known and (known != _UI_APPLICATIONS or of_applications)
        for known in _UI_DATA
    )


async def _address(context: Context, session: Session) -> SparkAddress:
    """Return where a session's pages are: at its driver, or else in Spark's history."""
    if session.phase in FINAL:
        return await context.history.open(session.driver)
    if session.ui_url is None:
        raise NotFound(
            "SparkCoreItemNotFound",
            Message("The session's Spark has no pages yet: it still starts."),
        )
    return SparkAddress(url=session.ui_url, application=session.spark_app_id or "")


async def event_log(context: Context, session: Session) -> EventLog | None:
    """Return Spark's event log of a session that the caller may read; None if it has none."""
    return await context.event_logs.find(session.driver)


async def zipped_event_log(context: Context, activity: Activity) -> tuple[str, BinaryIO]:
    """Return the name of a session's application, and an archive of its event log.

    The caller closes the archive.

    Raises:
        NotFound: it has no event log.
        Unavailable: the disk is full.
    """
    context.capacity.check_disk()
    # The driver states the id, which may be anything.
    name = activity.session.spark_app_id or ""
    found = None
    if _PART.fullmatch(name):
        found = await context.event_logs.zipped(activity.session.driver, name)
    if found is None:
        raise NotFound(
            "SparkCoreItemNotFound",
            "The session has no event log; LIVIUS_EVENT_LOG_LIMIT switches event logs on and off.",
        )
    return name, found


def history_opening(context: Context) -> Opening:
    """Return how far Spark's History Server is, without any use of it."""
    return context.history.opening()


async def begin_history(context: Context, session: Session) -> Opening | None:
    """Start Spark's History Server for an ended session, and return how far it is.

    None: the session's driver has its pages, or there is no event log to read.

    Raises:
        Unavailable: there is no room for it; the message says why.
    """
    if session.phase not in FINAL or await event_log(context, session) is None:
        return None
    context.history.begin()
    return context.history.opening()


def check_application(session: Session, application: str) -> None:
    """Refuse another application than the session's.

    Raises:
        NotFound: it is another one, or the session has none yet.
    """
    if session.spark_app_id is None or application != session.spark_app_id:
        raise NotFound(
            "SparkCoreItemNotFound",
            f"The session {session.id} has no Spark application {application[:100]!r}. "
            f"It has: {session.spark_app_id or 'none yet'}.",
        )


def _item_id(text: str) -> str:
    try:
        return parse_id(text, what="Item")
    except NotFound:
        raise no_item(text) from None


def no_item(item: str) -> NotFound:
    """Return the error for a missing item."""
    return NotFound(
        "SparkCoreItemNotFound",
        Message("There is no item %(item)s in this workspace.", item=item[:100]),
    )


def _no_session(session: str) -> NotFound:
    return NotFound(
        "SparkCoreSessionNotFound",
        Message("There is no Livy session %(session)s of this item.", session=session[:100]),
    )
