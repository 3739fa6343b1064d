"""The repls of a shared session: which there are, and the one that a page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.errors import NotFound
from livius.domain.high_concurrency import HighConcurrencySession
from livius.domain.messages import Message
from livius.domain.repl import ACCEPTING, LIVE, Phase, Repl
from livius.domain.session import Session
from livius.portal.events import version_of
from livius.portal.labels import N_, State
from livius.portal.pages.activity import BASE, View, find
from livius.portal.pages_base import PageRequest, Portal
from livius.usecases import monitoring

_MOST_CLOSED: Final = 10
"""How many closed repls are shown, the last ones, unless the request is for all."""
_STATES: Final[Mapping[Phase, State]] = {
    Phase.OPENING: State(N_("Starting"), "wait", "wait"),
    Phase.OPEN: State(N_("Ready"), "good", "good"),
    Phase.CLOSING: State(N_("Closing"), "wait", "busy"),
    Phase.CLOSED: State(N_("Closed"), "still", "off"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplTab:
    """A repl in the row of repls. ``number`` counts a session's repls from 1, the oldest first."""

    number: int
    repl: Repl
    holder: str
    tag: str | None
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The repl that a page shows, a view whose links keep it, and the row; empty: none is shown.

    ``version`` differs as soon as the row does. ``numbers`` has the numbers of all repls by id.
    """

    view: View
    repl: Repl
    row: Sequence[ReplTab] = ()
    version: str = ""
    numbers: Mapping[str, int]
    shows_all: bool = False

    @property
    def total(self) -> int:
        """Return how many repls the session ever had."""
        return len(self.numbers)

    @property
    def takes_code(self) -> bool:
        """Tell whether the repl is one that takes statements."""
        return self.repl.phase in ACCEPTING

    @property
    def versions(self) -> Mapping[str, str]:
        """Return the version of the row, for the page's stream."""
        return {"repls": self.version} if self.row else {}


def routes(portal: Portal) -> Sequence[Route]:
    """Return the route of the row."""
    return [portal.get(f"{BASE}/repls", row, passive=True)]


async def select(request: PageRequest, view: View) -> Selected:
    """Return the repl that a request names; without one, the first that takes statements.

    A plain session has one repl, whatever the request names.

    Raises:
        NotFound: the shared session has no such repl.
    """
    session = view.activity.session
    if not session.is_shared:
        only = await monitoring.activity_repl(request.context, session)
        return Selected(view=view, repl=only, numbers={only.id: 1})
    found = await monitoring.shared_repls(request.context, session)
    repls = [repl for repl, _handle in found]
    repl = _named(repls, view.repl) if view.repl is not None else _default(repls)
    takes_code = repl.phase in ACCEPTING
    return Selected(
        view=replace(view, repl=repl.id, may_run=view.may_run and takes_code),
        repl=repl,
        row=_row(session, found, repl, whole=bool(request.asked("all"))),
        version=version_of(" ".join(f"{one.id} {one.phase}" for one in repls)),
        numbers={one.id: number for number, one in enumerate(repls, 1)},
        shows_all=bool(request.asked("all")),
    )


def _named(repls: Sequence[Repl], name: str) -> Repl:
    for repl in repls:
        if repl.id == name:
            return repl
    raise NotFound(
        "ReplNotFound",
        Message(
            "The session has no repl %(repl)s. Open the session from the Monitoring hub, and "
            "select one of its repls.",
            repl=repr(name[:40]),
        ),
    )


def _default(repls: Sequence[Repl]) -> Repl:
    return next((repl for repl in repls if repl.phase in ACCEPTING), repls[0])


def _row(
    session: Session,
    found: Sequence[tuple[Repl, HighConcurrencySession | None]],
    selected: Repl,
    *,
    whole: bool,
) -> Sequence[ReplTab]:
    """Return the repls to show: the live ones, the selected one and the last closed ones."""
    closed = [repl.id for repl, _handle in found if repl.phase not in LIVE]
    hidden = set() if whole else set(closed[:-_MOST_CLOSED]) - {selected.id}
    return [
        ReplTab(
            number=number,
            repl=repl,
            holder=_holder(session, handle),
            tag=handle.tag if handle is not None else None,
            state=_STATES[repl.phase],
        )
        for number, (repl, handle) in enumerate(found, 1)
        if repl.id not in hidden
    ]


def _holder(session: Session, handle: HighConcurrencySession | None) -> str:
    if handle is None or handle.creator == session.submitter:
        return session.submitter_name
    return handle.creator


async def row(request: PageRequest) -> Response:
    """Return the row of repls."""
    selected = await select(request, await find(request, whole=True))
    return request.fragment("_repls.html", view=selected.view, selected=selected)
