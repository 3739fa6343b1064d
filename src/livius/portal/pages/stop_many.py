"""Several sessions are stopped at once: by one request, in which each is authorized by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER, Activity
from livius.domain.errors import Forbidden, Invalid, LiviusError
from livius.domain.messages import Message
from livius.portal.pages_base import ROOT, PageRequest, Portal
from livius.usecases import monitoring, sessions
from livius.usecases.access import SessionPath
from livius.usecases.audit import note_refusal

PAGE: Final = "/monitor/stop"
MOST: Final = 50
_LONGEST_KEY: Final = 80


@dataclass(frozen=True, slots=True)
class Refused:
    """A session that can't be stopped, and why not."""

    name: str
    why: str


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of the question and of the act."""
    return [portal.get(PAGE, ask), portal.post(PAGE, stop)]


async def ask(request: PageRequest) -> Response:
    """Ask, and name the sessions that will be stopped, and those that will not."""
    chosen = _chosen(request.http.query_params.getlist("pick"))
    names, refused, kept = [], [], []
    for key in chosen:
        try:
            activity = await _to_stop(request, key)
        except LiviusError as error:
            refused.append(Refused(await _name(request, key), error.message))
            continue
        names.append(activity.session.name)
        kept.append(key)
    return request.fragment(
        "_stop_many.html", names=names, refused=refused, chosen=" ".join(kept), page=ROOT + PAGE
    )


async def stop(request: PageRequest) -> Response:
    """Stop each that the caller may stop; the answer names the others."""
    stopped, refused = 0, []
    for key in _chosen(request.sent("chosen").split()):
        try:
            activity = await _to_stop(request, key)
            session = activity.session
            path = SessionPath(session.workspace, session.lakehouse, session.id)
            await sessions.delete_session(request.context, request.caller, path)
        except LiviusError as error:
            if isinstance(error, Forbidden):
                what, workspace = f"POST {ROOT}{PAGE}", key.partition("/")[0]
                await note_refusal(request.context, what, error, request.caller, workspace)
            refused.append(Refused(await _name(request, key), error.message))
        else:
            stopped += 1
    response = request.fragment("_stopped_many.html", refused=refused, stopped=stopped)
    if stopped:
        done = request.ntr("%(num)d session stops.", "%(num)d sessions stop.", stopped)
        response.headers["HX-Trigger"] = json.dumps({"done": done})
    return response


async def _to_stop(request: PageRequest, key: str) -> Activity:
    """Return an activity that the caller may stop.

    Raises:
        LiviusError: there is none, it has ended, or somebody else has to stop it.
    """
    workspace, _slash, session = key.partition("/")
    opened = await monitoring.open_activity(request.context, request.caller, workspace, session)
    monitoring.check_may_read(opened)
    if opened.activity.state in OVER:
        raise Invalid("SessionEnded", Message("It has ended already."))
    return opened.activity


async def _name(request: PageRequest, key: str) -> str:
    """Return the name of a session; its id if the caller may not know it."""
    workspace, _slash, session = key.partition("/")
    try:
        found = await monitoring.get_activity(request.context, request.caller, workspace, session)
    except LiviusError:
        return session
    return found.session.name


def _chosen(keys: Sequence[str]) -> Sequence[str]:
    """Return the keys, each once. Raises: Invalid: there are none or too many."""
    found = list(dict.fromkeys(key for key in keys if len(key) <= _LONGEST_KEY))
    if not 0 < len(found) <= MOST:
        raise Invalid(
            "InvalidInput", Message("Choose 1 to %(most)s sessions to stop at once.", most=MOST)
        )
    return found
