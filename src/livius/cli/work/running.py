"""The actions of ``livius sql`` and ``livius run``."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TextIO

from livius.cli.answers import Failed
from livius.cli.api import Api
from livius.cli.work.interrupts import Interrupted, Interrupts
from livius.cli.work.opening import Command, opened
from livius.cli.work.options import SessionOptions
from livius.cli.work.places import Session
from livius.cli.work.progress import Progress
from livius.cli.work.results import Rows, rows_of, write_csv, write_json, write_table
from livius.cli.work.sources import read_code, read_file
from livius.cli.work.statements import Code, StatementFailed, run

CODE_FAILED: Final = 1
NOT_RUN: Final = 2
_PIPE_CLOSED: Final = 141
"""The status that a shell shows for a program that SIGPIPE ended."""
_STDOUT: Final = 1
_WRITERS: Final = {"table": write_table, "csv": write_csv, "json": write_json}
_FORMAT_OF: Final = {".csv": "csv", ".json": "json", ".arrow": "arrow", ".arrows": "arrow"}
_OPTION: Final = re.compile(r"--?[a-z][\w-]*(=.*)?")
_MOMENTS: Final = "SELECT current_timezone()"


def sql(
    query: str | None,
    *,
    file: Path | None,
    form: str | None,
    output: Path | None,
    options: SessionOptions,
) -> int:
    """Run SQL and write its rows; return the exit status."""

    def work(command: Callable[[], Command]) -> None:
        text = _query(query, file)
        chosen = _format(form, output)
        with _destination(output) as destination:
            here = command()
            with opened(here, options) as session:
                code = Code(text=text, kind="sql", label="The query")
                rows = rows_of(run(here, session, code, here.progress.say_text))
                zone = _zone(here, session, rows) if chosen == "arrow" else ""
            _write(rows or Rows(fields=[], data=[]), chosen, zone, destination)

    return exit_status(work)


def run_file(source: str, *, kind: str | None, options: SessionOptions) -> int:
    """Run a file's code, a notebook cell by cell; return the exit status."""

    def work(command: Callable[[], Command]) -> None:
        codes = read_code(source, kind)
        here = command()
        with opened(here, options) as session:
            for code in codes:
                text = _Text(sys.stdout)
                data = run(here, session, code, text.write)
                text.end_line()
                _show(here, session, data)

    return exit_status(work)


def exit_status(work: Callable[[Callable[[], Command]], None]) -> int:
    """Do a command's work; print an error, and return its exit status."""
    progress = Progress()
    with Interrupts() as interrupts:
        try:
            work(lambda: Command(api=Api(), interrupts=interrupts, progress=progress))
            sys.stdout.flush()
        except StatementFailed as error:
            progress.clear()
            print(error, file=sys.stderr)
            return CODE_FAILED
        except Failed as error:
            progress.say(str(error))
            return NOT_RUN
        except Interrupted:
            progress.say("Interrupted.")
            return interrupts.exit_status
        except BrokenPipeError:
            # Python would try to write the rest at its end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
            return _PIPE_CLOSED
        except OSError as error:
            progress.say(f"The output can't be written: {error.strerror}.")
            return NOT_RUN
    return 0


class _Text:
    """Text that is written as it comes, and ends with a line break."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._last = "\n"

    def write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()
        self._last = text[-1:]

    def end_line(self) -> None:
        if self._last != "\n":
            self.write("\n")


def _query(query: str | None, file: Path | None) -> str:
    if query is not None and file is not None:
        raise Failed("Give the query or --file, not both.")
    if file is not None and str(file) != "-":
        return read_file(file)
    if query is not None and _OPTION.fullmatch(query):
        raise Failed(f"There is no option {query}. See: livius sql --help")
    if query in (None, "-"):
        if query is None and file is None and sys.stdin.isatty():
            raise Failed('Give the query: livius sql "SELECT …", --file FILE, or standard input.')
        return read_code("-", "sql")[0].text
    return query or ""


def _format(form: str | None, output: Path | None) -> str:
    chosen = form
    if chosen is None and output is not None:
        chosen = _FORMAT_OF.get(output.suffix.lower())
    if chosen is None:
        chosen = "table" if output is None and sys.stdout.isatty() else "csv"
    if chosen == "arrow":
        if output is None and sys.stdout.isatty():
            raise Failed("Arrow is no text for a terminal. Add --output FILE, or use a pipe.")
        try:
            import livius.cli.work.arrow  # noqa: F401 - before the query, not after it
        except ImportError as error:
            raise Failed(
                f"--format arrow needs pyarrow: {sys.executable} -m pip install pyarrow"
            ) from error
    return chosen


@contextmanager
def _destination(output: Path | None) -> Iterator[IO[bytes]]:
    """Yield the file to write to, which takes its name once it is whole; or standard output."""
    if output is None:
        yield sys.stdout.buffer
        return
    partial_file = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        with partial_file.open("wb") as file:
            yield file
        partial_file.replace(output)
    except OSError as error:
        raise Failed(f"{output} can't be written: {error.strerror}.") from error
    finally:
        partial_file.unlink(missing_ok=True)


def _write(rows: Rows, form: str, zone: str, destination: IO[bytes]) -> None:
    if form == "arrow":
        from livius.cli.work.arrow import write_arrow

        write_arrow(rows, destination, zone=zone)
    else:
        text = io.TextIOWrapper(destination, encoding="utf-8", newline="", errors="replace")
        _WRITERS[form](rows, text)
        text.detach()
    destination.flush()


def _zone(command: Command, session: Session, rows: Rows | None) -> str:
    from livius.cli.work.arrow import needs_zone

    if rows is None or not needs_zone(rows):
        return ""
    code = Code(text=_MOMENTS, kind="sql", label="The question for the session's time zone")
    found = rows_of(run(command, session, code, command.progress.say_text))
    return str(found.data[0][0]) if found is not None else "UTC"


def _show(command: Command, session: Session, data: dict[str, Any]) -> None:
    """Show a statement's other output as text, or say that it has some."""
    rows = rows_of(data)
    if rows is not None:
        write_table(rows, sys.stdout)
    elif "application/json" in data:
        print(json.dumps(data["application/json"], ensure_ascii=False, indent=2))
    elif data:
        page = f"{command.api.connection.http}{session.page}"
        command.progress.say(f"The output has {', '.join(sorted(data))} too. See {page}")
    sys.stdout.flush()
