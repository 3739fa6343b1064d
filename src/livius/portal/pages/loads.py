"""Loads of files into tables: the form, and the page that follows one to its end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.contents import parts_of
from livius.domain.errors import Invalid
from livius.domain.messages import Message
from livius.domain.operation import CANCELLED, Goal, Operation, Phase
from livius.domain.table_load import FileFormat, Mode, TableLoad, load_of
from livius.portal.events import PageVersion
from livius.portal.labels import LOAD, LOAD_CANCELLED, LOAD_CANCELLING, N_, State
from livius.portal.pages import explorer
from livius.portal.pages.explorer import Selected
from livius.portal.pages.files import delimiter_of, preview_of
from livius.portal.pages.lakehouse import BASE, lakehouse_base
from livius.portal.pages.workspaces import lakehouse_path
from livius.portal.pages_base import ROOT, Live, PageRequest, Portal
from livius.ports.notifications import OperationChanged
from livius.usecases import catalog, lakehouse_browser
from livius.usecases.table_loads import cancel_load, get_load, load_table

_HEAD: Final = 64 * 1024
_FORMATS: Final[Mapping[str, FileFormat]] = {
    "csv": FileFormat.CSV,
    "tsv": FileFormat.CSV,
    "txt": FileFormat.CSV,
    "json": FileFormat.JSON,
    "jsonl": FileFormat.JSON,
    "ndjson": FileFormat.JSON,
    "parquet": FileFormat.PARQUET,
}
"""The formats of files by the ends of their names."""
_LABELS: Final = (
    (FileFormat.CSV, "CSV"),
    (FileFormat.JSON, N_("JSON, one object in each line")),
    (FileFormat.PARQUET, "Parquet"),
)
_MODES: Final = (
    (Mode.CREATE, N_("Make a new table")),
    (Mode.APPEND, N_("Append to it, if it exists")),
    (Mode.OVERWRITE, N_("Overwrite it, if it exists")),
)
_DELIMITERS: Final = (
    (",", N_("Comma")),
    (";", N_("Semicolon")),
    ("tab", N_("Tab")),
    ("|", N_("Vertical bar")),
)
_TAB: Final = "tab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What the form proposes."""

    table: str
    format: FileFormat
    extension: str = ""
    header: bool = True
    delimiter: str = ","


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of loads."""
    return [
        portal.get(f"{BASE}/load", form),
        portal.post(f"{BASE}/load", begin),
        portal.get(f"{BASE}/loads/{{operation}}", follow),
        portal.get(f"{BASE}/loads/{{operation}}/live", live, passive=True),
        portal.post(f"{BASE}/loads/{{operation}}/cancel", cancel),
    ]


async def form(request: PageRequest) -> Response:
    """Ask into which table, and how, a file or folder is to be loaded."""
    parts = parts_of(request.asked("path"))
    where = request.path("workspace"), request.path("lakehouse")
    entries = await lakehouse_browser.list_folder(
        request.context, request.caller, *where, "/".join(parts)
    )
    is_folder = entries is not None
    if entries is not None:
        endings = [ending_of(one.name) for one in entries if not one.is_folder]
        guess = guess_of_folder(parts[-1] if parts else "", endings)
    else:
        async with await lakehouse_browser.open_file(
            request.context, request.caller, *where, "/".join(parts)
        ) as opened:
            head = await opened.read(_HEAD)
            header = bool(preview_of(opened.entry, head).header)
        guess = guess_of_file(parts[-1], head, header=header)
    return await explorer.show(
        request,
        "load.html",
        tab="files",
        selected=Selected(folders=parts if is_folder else parts[:-1]),
        file="/".join(parts),
        is_folder=is_folder,
        guess=guess,
        formats=_LABELS,
        modes=_MODES,
        delimiters=_DELIMITERS,
        schemas=await catalog.list_schemas(request.context, request.caller, *where),
    )


def guess_of_file(name: str, head: bytes, *, header: bool) -> Guess:
    """Return a table's name and a format for a file, from its name and first bytes."""
    ending = ending_of(name)
    delimiter = delimiter_of(head.decode("utf-8", "replace"))
    return Guess(
        table=table_name(name.rpartition(".")[0] or name),
        format=_FORMATS.get(ending, FileFormat.CSV),
        header=header,
        delimiter=_TAB if delimiter == "\t" or ending == "tsv" else delimiter,
    )


def guess_of_folder(name: str, endings: Sequence[str]) -> Guess:
    """Return a table's name and a format for a folder, from the ends of its files' names."""
    known = [one for one in endings if one in _FORMATS]
    most = max(known, key=known.count, default="csv")
    kind = _FORMATS[most]
    return Guess(
        table=table_name(name),
        format=kind,
        extension="" if most == kind.lower() else most,
        delimiter=_TAB if most == "tsv" else ",",
    )


def ending_of(name: str) -> str:
    """Return the end of a file's name, in lower case and without the dot."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def table_name(text: str) -> str:
    """Return a name for a table, from that of a file."""
    return re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")[:100]


async def begin(request: PageRequest) -> Response:
    """Begin a load, and redirect to the page that follows it."""
    begun = await load_table(
        request.context,
        request.caller,
        request.path("workspace"),
        request.path("lakehouse"),
        _sent(request),
    )
    where = f"{ROOT}/workspaces/{begun.workspace}/lakehouses/{begun.item}"
    return request.go(f"{where}/loads/{begun.id}")


def _sent(request: PageRequest) -> TableLoad:
    """Return the load that the form describes.

    Raises:
        Invalid: no browser sends such a form.
    """
    try:
        mode, kind = Mode(request.sent("mode")), FileFormat(request.sent("format"))
    except ValueError as error:
        raise Invalid(
            "InvalidInput", Message("Choose a format, and what becomes of the table's rows.")
        ) from error
    delimiter = request.sent("delimiter")
    is_csv = kind is FileFormat.CSV
    return TableLoad(
        table=request.sent("table").strip(),
        schema=request.sent("schema") or None,
        path="/".join(("Files", *parts_of(request.sent("file")))),
        is_folder=request.sent("folder") == "yes",
        mode=mode,
        format=kind,
        extension=request.sent("extension").strip().lstrip(".") or None,
        recursive=request.sent("recursive") == "yes",
        header=is_csv and request.sent("header") == "yes",
        delimiter=("\t" if delimiter == _TAB else delimiter) if is_csv and delimiter else ",",
    )


async def follow(request: PageRequest) -> Response:
    """Show how far a load is, and what it led to."""
    operation = await _find(request)
    load = load_of(operation.request)
    place = await catalog.get_lakehouse(
        request.context, request.caller, request.path("workspace"), request.path("lakehouse")
    )
    name = load.table_in(place).name
    parts = parts_of(load.path)[1:]
    return await explorer.show(
        request,
        "load_progress.html",
        tab="files",
        selected=Selected(folders=parts if load.is_folder else parts[:-1]),
        operation=operation,
        is_done=operation.phase is Phase.SUCCEEDED,
        is_cancelled=operation.error_code == CANCELLED,
        may_cancel=operation.goal is Goal.RUN,
        progress=_progress(operation),
        file="/".join(parts),
        source=load.path,
        name=name,
        table_path=explorer.table_path(place, name),
        live=Live(f"{lakehouse_path(place)}/loads/{operation.id}/live", _look(operation))
        if operation.is_live
        else None,
    )


async def live(request: PageRequest) -> Response:
    """Stream the progress of a load."""

    async def looker() -> PageVersion:
        return _look(await _find(request))

    return request.stream(looker)


def _look(operation: Operation) -> PageVersion:
    return PageVersion(
        versions={"load": f"{operation.phase}{operation.goal}{operation.percent}"},
        topics=(OperationChanged(operation.id),),
    )


def _progress(operation: Operation) -> State:
    if operation.error_code == CANCELLED:
        return LOAD_CANCELLED
    if operation.is_live and operation.goal is Goal.CANCEL:
        return LOAD_CANCELLING
    return LOAD[operation.phase]


async def cancel(request: PageRequest) -> Response:
    """Cancel a load, and redirect to its page."""
    name = request.path("operation")
    where = request.path("workspace"), request.path("lakehouse")
    await cancel_load(request.context, request.caller, *where, name)
    return request.go(f"{lakehouse_base(request)}/loads/{name}")


async def _find(request: PageRequest) -> Operation:
    where = request.path("workspace"), request.path("lakehouse")
    return await get_load(request.context, request.caller, *where, request.path("operation"))
