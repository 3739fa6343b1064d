"""Activities as rows of a list, with their true states: those of the hub and of Home."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from livius.domain.activity import OVER, Activity
from livius.domain.ids import SessionId, WorkspaceId
from livius.domain.lakehouse import Role, Workspace
from livius.domain.session import Session
from livius.portal.busy_line import BusyLine, busy_line
from livius.portal.doing import doing_of
from livius.portal.events import PageVersion, version_of
from livius.portal.labels import N_, State
from livius.portal.pages.activity import activity_path
from livius.portal.pages_base import PageRequest
from livius.ports.notifications import AnySessionChanged
from livius.usecases import monitoring, outlines
from livius.usecases.queue import QueuePlace, queue_places

_BEAT: Final = 3.0
"""Seconds between two looks: that a session runs code is no change of the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One activity as a list shows it.

    ``step`` is what a starting session does. ``idle_end`` is when the idle timeout ends it if
    nothing happens. ``key`` names it in a form.
    """

    key: str
    path: str
    name: str
    kind: str
    state: State
    queue: QueuePlace | None
    step: str
    idle_end: datetime | None
    started: datetime
    ended: datetime | None
    submitter: str
    location: str
    runtime: str
    may_stop: bool


async def rows_of(
    request: PageRequest,
    activities: Sequence[Activity],
    workspaces: Sequence[tuple[Workspace, Role]],
) -> Sequence[Row]:
    """Return activities as lists show them. ``workspaces`` are the caller's, with the roles."""
    places = await _places(request, activities)
    busy = await _busy(request, activities)
    administered = _administered(workspaces)
    return [
        _row(
            one,
            places.get(one.session.id),
            is_busy=one.session.id in busy,
            may_steer=_may_steer(request, one, administered),
        )
        for one in activities
    ]


async def busy_lines(
    request: PageRequest,
    activities: Sequence[Activity],
    workspaces: Sequence[tuple[Workspace, Role]],
) -> Mapping[str, BusyLine]:
    """Return when code ran in ended activities that the caller may read, by the rows' keys."""
    administered = _administered(workspaces)
    sessions = [one.session for one in activities if _may_steer(request, one, administered)]
    runs = await outlines.runs_of(request.context, sessions)
    return {
        key_of(one): busy_line(runs[one.id], began=one.created_at, ended=one.ended_at)
        for one in sessions
        if one.id in runs and one.ended_at is not None
    }


def _administered(workspaces: Sequence[tuple[Workspace, Role]]) -> AbstractSet[WorkspaceId]:
    return {workspace.id for workspace, role in workspaces if role is Role.ADMIN}


def _may_steer(request: PageRequest, one: Activity, administered: AbstractSet[WorkspaceId]) -> bool:
    """Tell whether the caller may read and stop an activity."""
    return one.session.workspace in administered or one.session.submitter == request.caller.oid


async def version_of_rows(request: PageRequest, activities: Sequence[Activity]) -> PageVersion:
    """Return the version of a list, which differs as soon as a row would look different."""
    places = await _places(request, activities)
    busy = await _busy(request, activities)
    rows = version_of(
        "\n".join(
            f"{one.session.id} {one.state} {one.session.phase} {one.session.name} "
            f"{one.session.id in busy} {one.session.last_active_at} "
            f"{one.workspace_name}/{one.lakehouse_name} {place and place.position}"
            for one in activities
            for place in (places.get(one.session.id),)
        )
    )
    return PageVersion(versions={"rows": rows}, topics=(AnySessionChanged(),), beat=_BEAT)


async def _places(
    request: PageRequest, activities: Sequence[Activity]
) -> Mapping[SessionId, QueuePlace]:
    return await queue_places(request.context, [one.session for one in activities])


async def _busy(request: PageRequest, activities: Sequence[Activity]) -> Collection[SessionId]:
    return await monitoring.busy_among(request.context, [one.session for one in activities])


def key_of(session: Session) -> str:
    """Return the name of a session in a form."""
    return f"{session.workspace}/{session.id}"


def _row(activity: Activity, queue: QueuePlace | None, *, is_busy: bool, may_steer: bool) -> Row:
    session = activity.session
    doing = doing_of(activity, is_busy=is_busy, is_queued=queue is not None)
    return Row(
        key=key_of(session),
        path=activity_path(session),
        name=session.name,
        kind=N_("High-concurrency session") if session.is_shared else N_("Livy session"),
        state=doing.state,
        queue=queue,
        step=doing.step,
        idle_end=doing.idle_end,
        started=session.created_at,
        ended=session.ended_at,
        submitter=session.submitter_name,
        location=f"{activity.workspace_name} / {activity.lakehouse_name}",
        runtime=session.runtime,
        may_stop=may_steer and activity.state not in OVER,
    )
