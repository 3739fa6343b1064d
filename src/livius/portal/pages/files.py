"""The files of a lakehouse: folders, previews within bounds, downloads."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from livius.domain.contents import Entry, parts_of
from livius.domain.errors import Invalid
from livius.domain.messages import Message
from livius.portal.pages.lakehouse import BASE, show
from livius.portal.pages_base import PageRequest, Portal, as_file
from livius.ports.lakehouse_browser import OpenFile
from livius.usecases import lakehouse_browser

_TEXT: Final = 64 * 1024
_IMAGE: Final = 5 * 1024 * 1024
_ROWS: Final = 100
_LINES: Final = _ROWS + 2
"""One row with the names of the columns, and one to know whether there are more."""
_COLUMNS: Final = 50
_CELL: Final = 300
_NUMBER: Final = re.compile(r"[-+]?[\d.,:/% -]+(?:e[-+]?\d+)?[tz\d.:+-]*")
"""Numbers, dates and times: values of rows rather than names of columns."""
_IMAGES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The preview of a file.

    ``kind`` is text, rows, image or none; ``cut``: there is more. ``header`` has the names of the
    columns, if the first line does.
    """

    kind: str
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    cut: bool = False


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of files."""
    return [
        portal.get(f"{BASE}/files", files),
        portal.get(f"{BASE}/files/download", download),
        portal.get(f"{BASE}/files/image", image),
    ]


async def files(request: PageRequest) -> Response:
    """Show a folder or a file."""
    path = request.asked("path")
    parts = parts_of(path)
    entries = await lakehouse_browser.list_folder(
        request.context, request.caller, request.path("workspace"), request.path("lakehouse"), path
    )
    steps = [(part, "/".join(parts[: place + 1])) for place, part in enumerate(parts)]
    if entries is not None:
        return await show(
            request,
            "lakehouse_files.html",
            tab="files",
            steps=steps,
            entries=[(one, "/".join((*parts, one.name))) for one in entries],
        )
    async with await _open(request) as opened:
        entry = opened.entry
        preview = (
            Preview(kind="image", cut=entry.size > _IMAGE)
            if _ending(entry) in _IMAGES
            else preview_of(entry, await opened.read(_TEXT), header=request.asked("header"))
        )
    return await show(
        request,
        "lakehouse_file.html",
        tab="files",
        steps=steps,
        entry=entry,
        preview=preview,
        query=urlencode({"path": "/".join(parts)}),
    )


async def _open(request: PageRequest) -> contextlib.AbstractAsyncContextManager[OpenFile]:
    return await lakehouse_browser.open_file(
        request.context,
        request.caller,
        request.path("workspace"),
        request.path("lakehouse"),
        request.asked("path"),
    )


async def download(request: PageRequest) -> Response:
    """Send a file unchanged."""
    # Opened before the headers are sent: a missing file has to be a 404.
    stack = contextlib.AsyncExitStack()
    opened = await stack.enter_async_context(await _open(request))

    async def body() -> AsyncIterator[bytes]:
        async with stack:
            async for chunk in opened.chunks():
                yield chunk

    name = opened.entry.name
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    headers = as_file(plain)
    headers["Content-Disposition"] += f"; filename*=UTF-8''{quote(name, safe='')}"
    return StreamingResponse(body(), media_type="application/octet-stream", headers=headers)


async def image(request: PageRequest) -> Response:
    """Send an image to be shown within the page."""
    async with await _open(request) as opened:
        kind = _IMAGES.get(_ending(opened.entry))
        if kind is None or opened.entry.size > _IMAGE:
            raise Invalid("NoImage", Message("This file is not shown as an image. Download it."))
        data = b""
        while chunk := await opened.read(_IMAGE + 1 - len(data)):
            data += chunk
    headers = {
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(data, media_type=kind, headers=headers)


def preview_of(entry: Entry, head: bytes, *, header: str = "") -> Preview:
    """Return the preview of a file from its first bytes.

    ``header`` is yes or no; for any other value the first line decides.
    """
    cut = entry.size > len(head)
    if b"\0" in head:
        return Preview(kind="none")
    text = head.decode("utf-8", "replace")
    if text.count("�") > len(text) // 10:
        return Preview(kind="none")
    ending = _ending(entry)
    if ending in (".csv", ".tsv"):
        rows = _rows(text, "\t" if ending == ".tsv" else _delimiter(text))
        if rows:
            # The last line may have been cut in its middle.
            shown = rows[:-1] if cut and 1 < len(rows) < _LINES else rows
            named = header == "yes" or (header != "no" and _is_header(shown))
            below = shown[1:] if named else shown
            return Preview(
                kind="rows",
                header=shown[0] if named else (),
                rows=below[:_ROWS],
                cut=cut or len(below) > _ROWS,
            )
    if ending == ".json" and not cut:
        with contextlib.suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        text = text.encode("utf-8", "replace").decode()
    return Preview(kind="text", text=text, cut=cut)


def _rows(text: str, delimiter: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text), delimiter=delimiter):
            found.append([cell[:_CELL] for cell in row[:_COLUMNS]])
            if len(found) == _LINES:
                break
    except csv.Error:
        return []
    return found


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first line names the columns: words, each another, and rows below."""
    names = [cell.strip().lower() for cell in rows[0]]
    return len(rows) > 1 and len(set(names)) == len(names) and all(map(_is_word, names))


def _is_word(text: str) -> bool:
    return bool(text) and not _NUMBER.fullmatch(text)


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;|\t", key=first.count)


def _ending(entry: Entry) -> str:
    return "." + entry.name.rpartition(".")[2].lower()
