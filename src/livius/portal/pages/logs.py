"""An activity's logs by line: the gateway's and the driver's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER
from livius.domain.errors import NotFound
from livius.domain.log_lines import Line
from livius.domain.messages import Message
from livius.portal import output_html
from livius.portal.events import PageVersion
from livius.portal.labels import N_
from livius.portal.pages.activity import BASE, View, find, show, version_of
from livius.portal.pages_base import PageRequest, Portal, number, text_file
from livius.usecases import log_reading, monitoring
from livius.usecases.log_reading import Found, LineNumbers, Part, Read

LOGS: Final = (
    ("stderr", N_("Driver (stderr)")),
    ("stdout", N_("Driver (stdout)")),
    ("livy", N_("Gateway")),
)
_LONGEST_TEXT: Final = 200
_LOOK_EVERY: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One log of an activity, and what of it a request is for."""

    view: View
    name: str
    size: int
    read: Read
    q: str
    errors: bool
    until: int

    @property
    def key(self) -> str:
        """Return its name among all logs."""
        return f"{self.view.activity.session.driver} {self.name}"

    def link(self, **query: object) -> str:
        """Return the address of another part of what is shown."""
        shown: dict[str, object] = {"q": self.q or None, "errors": 1 if self.errors else None}
        if self.until < self.size and self.q:
            shown["until"] = self.until
        return self.view.link("logs", log=self.name, **{**shown, **query})


@dataclass(frozen=True, slots=True)
class LineView:
    """A line as the page shows it; ``number`` is None while too much before it is uncounted."""

    line: Line
    number: int | None
    html: Markup


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of logs."""
    numbers = LineNumbers()

    def numbered(
        handler: Callable[[PageRequest, LineNumbers], Awaitable[Response]],
    ) -> Callable[[PageRequest], Awaitable[Response]]:
        return lambda request: handler(request, numbers)

    return [
        portal.get(f"{BASE}/logs", numbered(log)),
        portal.get(f"{BASE}/logs/live", live, passive=True),
        portal.get(f"{BASE}/logs/lines", numbered(further), passive=True),
        portal.get(f"{BASE}/logs/counted", numbered(counted), passive=True),
        portal.get(f"{BASE}/logs/{{name}}", download),
    ]


async def log(request: PageRequest, numbers: LineNumbers) -> Response:
    """Show a log's last lines, those around a line, its errors, or those around a match."""
    view = await find(request, whole=True)
    one = await _log(request, view)
    found, hit = None, None
    if one.q and not one.errors:
        found = await log_reading.search(one.read, one.q, end=one.until)
        hit = _hit(found, number(request.asked("hit"), -1))
    part, is_tail = await _part(request, one, hit)
    return await show(
        request,
        "activity_logs.html",
        view,
        tab="logs",
        seen=_version(view, one.size),
        stream=f"logs/live?log={one.name}",
        logs=LOGS,
        log=one,
        part=part,
        lines=await _views(one, part, numbers),
        found=found,
        hit=hit,
        is_tail=is_tail,
        follows=is_tail and view.activity.state not in OVER,
    )


async def _log(request: PageRequest, view: View) -> Log:
    asked = request.asked("log")
    name = next((name for name, _label in LOGS if name == asked), LOGS[0][0])
    size = await _size(request, view, name)
    return Log(
        view=view,
        name=name,
        size=size,
        read=partial(_read, request, view, name),
        q=request.asked("q").strip()[:_LONGEST_TEXT],
        errors=bool(request.asked("errors")),
        until=min(number(request.asked("until"), size), size),
    )


def _offset(request: PageRequest, name: str, default: int, log: Log) -> int:
    return min(number(request.asked(name), default), log.size)


def _hit(found: Found, asked: int) -> int | None:
    """Return the match to show: the one that was asked for, else the last."""
    if not found.offsets:
        return None
    return asked if asked in found.offsets else found.offsets[-1]


async def _part(request: PageRequest, log: Log, hit: int | None) -> tuple[Part, bool]:
    """Return the lines to show, and whether the log's end is among them."""
    before = _offset(request, "before", log.size, log)
    if log.errors:
        part = await log_reading.errors_before(log.read, before)
    elif hit is not None:
        part = await log_reading.lines_around(log.read, hit)
    elif request.asked("at"):
        part = await log_reading.lines_around(log.read, _offset(request, "at", log.size, log))
    elif request.asked("from"):
        part = await log_reading.lines_from(log.read, _offset(request, "from", log.size, log))
    else:
        part = await log_reading.lines_before(log.read, before)
    return part, part.end >= log.size


async def _views(log: Log, part: Part, numbers: LineNumbers) -> Sequence[LineView]:
    offsets = [one.offset for one in part.lines]
    counted = await numbers.of(log.key, log.read, offsets)
    return [
        LineView(line, count, output_html.log_line(line, log.q))
        for line, count in zip(part.lines, counted, strict=True)
    ]


async def further(request: PageRequest, numbers: LineNumbers) -> Response:
    """Return the lines from an offset on, for a page that follows the log.

    If there are more than fit on a page, they are the last ones, in place of those of the page.
    """
    view = await find(request, whole=True)
    log = await _log(request, view)
    start = _offset(request, "from", 0, log)
    if log.errors:
        part = await log_reading.errors_before(log.read, log.size, since=start)
    else:
        part = await log_reading.lines_from(log.read, start)
        if part.end < log.size:
            part = await log_reading.lines_before(log.read, log.size)
    return request.fragment(
        "_log_lines.html", view=view, log=log, part=part, lines=await _views(log, part, numbers)
    )


async def counted(request: PageRequest, numbers: LineNumbers) -> Response:
    """Count some more of a log's lines, and return the numbers of the lines at offsets.

    They are none until all before them is counted.
    """
    log = await _log(request, await find(request, whole=True))
    asked = request.asked("at").split(",")[: log_reading.MOST_LINES]
    offsets = sorted({min(number(one, 0), log.size) for one in asked})
    found = await numbers.of(log.key, log.read, offsets)
    return request.json({"numbers": None if None in found else found})


async def _size(request: PageRequest, view: View, name: str) -> int:
    if name == "livy":
        return len(await request.context.livy_logs.text(view.activity.session))
    files = await monitoring.driver_logs(request.context, view.activity)
    return next((file.size for file in files if file.name == name), 0)


async def _read(request: PageRequest, view: View, name: str, offset: int, size: int) -> bytes:
    if name == "livy":
        text = await request.context.livy_logs.text(view.activity.session)
        return text[offset : offset + size]
    try:
        return await monitoring.read_driver_log(
            request.context, view.activity, name, offset=offset, size=size
        )
    except NotFound:
        # No log yet: the driver has not been launched.
        return b""


async def download(request: PageRequest) -> Response:
    """Return a whole log as a file."""
    view = await find(request, whole=True)
    name = request.path("name")
    if all(name != known for known, _label in LOGS):
        raise NotFound("LogNotFound", Message("There is no such log."))
    return text_file(partial(_read, request, view, name), f"{view.activity.session.id}-{name}.log")


async def live(request: PageRequest) -> Response:
    """Stream the log's growth."""

    async def look() -> PageVersion:
        view = await find(request, whole=True)
        return _version(view, (await _log(request, view)).size)

    return request.stream(look)


def _version(view: View, size: int) -> PageVersion:
    base = version_of(view)
    # There are no notifications of a log's growth, so its size is polled.
    beat = base.beat if view.activity.state in OVER else _LOOK_EVERY
    return replace(base, versions={**base.versions, "log": str(size)}, beat=beat)
