"""An activity's logs: the gateway's and the driver's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from markupsafe import Markup, escape
from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER
from livius.domain.errors import NotFound
from livius.domain.messages import Message
from livius.portal import output_html
from livius.portal.events import PageVersion
from livius.portal.labels import N_
from livius.portal.pages.activity import BASE, View, find, show, version_of
from livius.portal.pages_base import PageRequest, Portal, number, text_file
from livius.usecases import monitoring
from livius.usecases.log_search import search_driver_log

LOGS: Final = (
    ("stderr", N_("Driver (stderr)")),
    ("stdout", N_("Driver (stdout)")),
    ("livy", N_("Gateway")),
)
_WINDOW: Final = 128 * 1024
_MOST_FOUND: Final = 200
_LONGEST_TEXT: Final = 200
_LOOK_EVERY: Final = 2.0


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of logs."""
    return [
        portal.get(f"{BASE}/logs", log),
        portal.get(f"{BASE}/logs/live", live, passive=True),
        portal.get(f"{BASE}/logs/{{name}}", download),
    ]


async def log(request: PageRequest) -> Response:
    """Show the end of a log, a part of it, or the lines with a text."""
    view = await find(request, whole=True)
    name = _name(request.asked("log"))
    text = request.asked("q").strip()[:_LONGEST_TEXT]
    look = await _look(request, name)
    size = await _size(request, view, name)
    at = number(request.asked("at"), -1)
    start = max(0, size - _WINDOW) if at < 0 else min(at, size)
    raw = await _read(request, view, name, start, _WINDOW)
    values = {
        "logs": LOGS,
        "name": name,
        "size": size,
        "start": start,
        "end": start + len(raw),
        "earlier": max(0, start - _WINDOW) if start else None,
        "later": start + len(raw) if start + len(raw) < size else None,
        "is_tail": at < 0,
        "text": output_html.ansi_html(_whole_lines(raw, is_cut=start > 0)),
        "q": text,
        "found": None,
    }
    if text and name != "livy":
        matches = await search_driver_log(
            request.context, view.activity, name, text, most=_MOST_FOUND
        )
        values["found"] = [(one.offset, _marked(one.line, text)) for one in matches.found]
        values["found_cut"] = matches.is_cut
    if request.is_fragment:
        return request.fragment("_log.html", view=view, **values)
    return show(
        request,
        "activity_logs.html",
        view,
        tab="logs",
        look=look,
        stream=f"logs/live?log={name}",
        **values,
    )


def _name(asked: str) -> str:
    return next((name for name, _label in LOGS if name == asked), LOGS[0][0])


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


def _whole_lines(raw: bytes, *, is_cut: bool) -> str:
    """Remove the incomplete line at the cut."""
    begin = raw.find(b"\n") + 1 if is_cut else 0
    return raw[begin:].decode("utf-8", "replace")


def _marked(line: str, text: str) -> Markup:
    """Return a line with the matches marked."""
    parts, at = [], 0
    lowered, needle = line.lower(), text.lower()
    while (found := lowered.find(needle, at)) >= 0:
        parts.append(escape(line[at:found]))
        parts.append(Markup("<mark>{}</mark>").format(line[found : found + len(needle)]))
        at = found + len(needle)
    parts.append(escape(line[at:]))
    return Markup("").join(parts)


async def download(request: PageRequest) -> Response:
    """Return a whole log as a file."""
    view = await find(request, whole=True)
    name = request.path("name")
    if name != _name(name):
        raise NotFound("LogNotFound", Message("There is no such log."))
    return text_file(partial(_read, request, view, name), f"{view.activity.session.id}-{name}.log")


async def live(request: PageRequest) -> Response:
    """Stream the log's growth."""
    name = _name(request.asked("log"))
    return request.stream(lambda: _look(request, name))


async def _look(request: PageRequest, name: str) -> PageVersion:
    view = await find(request, whole=True)
    base = version_of(view)
    size = await _size(request, view, name)
    # There are no notifications of a log's growth, so its size is polled.
    beat = base.beat if view.activity.state in OVER else _LOOK_EVERY
    return replace(base, versions={**base.versions, "log": str(size)}, beat=beat)
