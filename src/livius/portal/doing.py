"""What a live session does, as pages say it in place of Fabric's one word for all of these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from livius.domain.activity import Activity, ActivityState
from livius.portal import labels
from livius.portal.labels import State


@dataclass(frozen=True, slots=True)
class Doing:
    """The state to show. ``step`` is what a starting session does, else empty.

    ``idle_end`` is when the idle timeout ends the session if nothing happens; None while code runs.
    """

    state: State
    step: str = ""
    idle_end: datetime | None = None


def doing_of(activity: Activity, *, is_busy: bool, is_queued: bool) -> Doing:
    """Return what an activity does. ``is_busy``: code runs or waits."""
    session = activity.session
    if activity.state is ActivityState.RUNNING:
        if is_busy:
            return Doing(labels.RUNS_CODE)
        return Doing(labels.IDLE, idle_end=session.last_active_at + session.idle_timeout)
    if activity.state is ActivityState.WAITING and not is_queued:
        step = next((one.what for one in labels.PHASES if one.phase is session.phase), "")
        return Doing(labels.STARTING, step=step)
    return Doing(labels.ACTIVITY[activity.state])
