"""Live pages: one stream of Server-Sent Events per page.

Of a list or a log, an event has the names of the parts that have changed, never their content: the
page then fetches these parts by its own address. The event's id has the version of each part that
the page has, so that a broken stream resumes without gaps and repeats. The page of an
activity's statements has the events that the API has of them too (`livius.usecases.event_feed`),
with printed text and progress as the page shows them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from livius.domain.jobs import StatementJobs
from livius.domain.statement import FINAL, Statement
from livius.event_streams import COMMENT, event
from livius.portal.output_html import Printer
from livius.ports.notifications import Notifications, Topic
from livius.usecases.event_feed import (
    BEAT,
    Ended,
    Feed,
    Printed,
    Progressed,
    Queued,
    Quiet,
    SessionChanged,
    StatementChanged,
    follow,
)

_PACE: Final = 0.3
"""Seconds between two looks at a list: faster changes are sent together."""
_LONGEST_ID: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class PageVersion:
    """The present state of a page: a version for each part, and the topics to watch.

    After ``beat`` seconds the state is read again even without a notification.
    """

    versions: Mapping[str, str]
    topics: tuple[Topic, ...] = ()
    beat: float = BEAT

    def __str__(self) -> str:
        return json.dumps(self.versions, separators=(",", ":"))


def version_of(shown: str) -> str:
    """Return a version of a part, which differs as soon as its content does."""
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()[:16]


ReadPageVersion = Callable[[], Awaitable[PageVersion]]
Check = Callable[[], Awaitable[None]]
"""Raises a `LiviusError` when the portal session has ended."""


async def part_events(
    notifications: Notifications, check: Check, read: ReadPageVersion, *, seen: str
) -> AsyncIterator[bytes]:
    """Yield the names of a page's parts when they change; ``seen`` is the id of its last event."""
    page, known = PageVersion(versions={}), _versions(seen)

    async def look() -> AsyncIterator[bytes]:
        nonlocal page, known
        await check()
        page = await read()
        now = page.versions
        changed = [] if known is None else [name for name in now if known.get(name) != now[name]]
        if known is None or changed:
            # The first event has only the page's version. (Data must not be empty.)
            yield event(" ".join(changed or ["none"]).encode(), position=page)
        known = now

    async for one in follow(
        notifications,
        topics=lambda: page.topics,
        look=look,
        check=check,
        beat=lambda: page.beat,
        pace=_PACE,
    ):
        yield COMMENT if isinstance(one, Quiet) else one


def _versions(seen: str) -> Mapping[str, str] | None:
    """Read an event's id again; None for anything else."""
    if not seen or len(seen) > _LONGEST_ID:
        return None
    try:
        found = json.loads(seen)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return {str(name): str(version) for name, version in found.items()}


async def statement_events(
    feed: Feed, progress: Callable[[Statement, StatementJobs], str]
) -> AsyncIterator[bytes]:
    """Yield what happens in a repl: parts that have changed, printed text, progress, the queue."""
    printer, current, end = Printer(), feed.position.number, feed.position.offset
    async for one in feed.of_repl():
        name, data = "", ""
        match one:
            case SessionChanged():
                data = "head repls"
            case StatementChanged(view):
                data = f"{'s' if view.statement.phase in FINAL else 'h'}{view.statement.number}"
            case Printed(number, start, text):
                if number != current:
                    printer, current, end = Printer(), number, 0
                name = "text"
                data = _json(number=number, html=printer.html(text), is_cut=start != end)
                end = feed.position.offset
            case Progressed(statement, jobs):
                name = "progress"
                data = _json(number=statement.number, html=progress(statement, jobs))
            case Queued(numbers):
                name, data = "queue", _json(numbers=numbers)
            case Ended():
                name, data = "end", "none"
            case Quiet():
                yield COMMENT
                continue
        yield event(data.encode(), position=feed.position, name=name)


def _json(**values: Any) -> str:
    return json.dumps(values, separators=(",", ":"))
