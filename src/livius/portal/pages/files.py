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
from livius.limits import MAX_UPLOAD_BYTES
from livius.portal import spellings
from livius.portal.grids import Grid, guessed
from livius.portal.pages import explorer, lakehouse
from livius.portal.pages.explorer import Selected
from livius.portal.pages.lakehouse import BASE, lakehouse_base
from livius.portal.pages_base import PageRequest, Portal, as_file
from livius.ports.lakehouse_browser import OpenFile
from livius.usecases import catalog, lakehouse_browser, lakehouse_edits, uploads

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

    @property
    def grid(self) -> Grid:
        """Return the rows with guessed kinds; columns without names are numbered."""
        wide = max(map(len, [self.header, *self.rows]))
        names = [*self.header, *(str(at + 1) for at in range(len(self.header), wide))]
        rows = [[*row, *[None] * (wide - len(row))] for row in self.rows]
        return Grid(columns=guessed(names, rows), rows=rows, total=len(rows), is_cut=self.cut)


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of files."""
    return [
        portal.get(f"{BASE}/files", files),
        portal.upload(f"{BASE}/files", upload),
        portal.post(f"{BASE}/files/folders", make_folder),
        portal.get(f"{BASE}/files/delete", ask_to_delete),
        portal.post(f"{BASE}/files/delete", delete),
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
    place = await catalog.get_lakehouse(
        request.context, request.caller, request.path("workspace"), request.path("lakehouse")
    )
    names = spellings.of_path(place, ["Files", *parts])
    steps = [(part, "/".join(parts[: place + 1])) for place, part in enumerate(parts)]
    if entries is not None:
        return await explorer.show(
            request,
            "lakehouse_files.html",
            tab="files",
            selected=Selected(folders=parts),
            steps=steps,
            folder="/".join(parts),
            spellings=names,
            most=MAX_UPLOAD_BYTES,
            entries=[(one, "/".join((*parts, one.name))) for one in entries],
        )
    async with await _open(request) as opened:
        entry = opened.entry
        preview = (
            Preview(kind="image", cut=entry.size > _IMAGE)
            if _ending(entry) in _IMAGES
            else preview_of(entry, await opened.read(_TEXT), header=request.asked("header"))
        )
    return await explorer.show(
        request,
        "lakehouse_file.html",
        tab="files",
        selected=Selected(folders=parts[:-1]),
        steps=steps,
        entry=entry,
        preview=preview,
        query=urlencode({"path": "/".join(parts)}),
        spellings=names,
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


async def upload(request: PageRequest) -> Response:
    """Store the body as a file; one that has its name is replaced only if the query says so."""
    await uploads.upload_file(
        request.context,
        request.caller,
        request.path("workspace"),
        request.path("lakehouse"),
        request.asked("path"),
        request.http.stream(),
        replace=request.asked("replace") == "yes",
    )
    return Response(status_code=201, headers={"Cache-Control": "no-store"})


async def make_folder(request: PageRequest) -> Response:
    """Make a folder in the present one, and redirect to it."""
    name = request.sent("name").strip()
    if "/" in name:
        raise Invalid("InvalidInput", Message("A folder's name has no slash."))
    path = "/".join((*parts_of(request.asked("path")), name))
    await lakehouse_edits.make_folder(
        request.context,
        request.caller,
        request.path("workspace"),
        request.path("lakehouse"),
        path,
    )
    return request.go(f"{lakehouse_base(request)}/files?{urlencode({'path': path})}")


async def ask_to_delete(request: PageRequest) -> Response:
    """Ask, and say what will be lost."""
    path = request.asked("path")
    extent = await lakehouse_edits.measure_path(
        request.context, request.caller, request.path("workspace"), request.path("lakehouse"), path
    )
    return await lakehouse.show(
        request,
        "_file_delete.html",
        tab="files",
        extent=extent,
        name=parts_of(path)[-1],
        query=urlencode({"path": path}),
    )


async def delete(request: PageRequest) -> Response:
    """Delete a file or folder, and redirect to the folder that it was in."""
    path = request.asked("path")
    await lakehouse_edits.delete_path(
        request.context, request.caller, request.path("workspace"), request.path("lakehouse"), path
    )
    above = parts_of(path)[:-1]
    query = f"?{urlencode({'path': '/'.join(above)})}" if above else ""
    done = request.tr("%(name)s is deleted.", name=parts_of(path)[-1])
    return request.go(f"{lakehouse_base(request)}/files{query}", done)


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
        rows = _rows(text, "\t" if ending == ".tsv" else delimiter_of(text))
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


def delimiter_of(text: str) -> str:
    """Return the likeliest delimiter of a CSV file, from its first line."""
    first = text.partition("\n")[0]
    return max(",;|\t", key=first.count)


def _ending(entry: Entry) -> str:
    return "." + entry.name.rpartition(".")[2].lower()
