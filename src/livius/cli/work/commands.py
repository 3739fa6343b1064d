"""``livius sql``, ``run`` and ``session``: the commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from livius.cli.parameters import AsJson
from livius.cli.work.options import SessionOptions

session_app = App(
    name="session",
    help="""List, show and end sessions, and read their logs.

    SESSION is a session's id or name. Exit status: 0, or 2 with a message.""",
)

_DEFAULT: SessionOptions = SessionOptions()


def sql(
    query: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    file: Annotated[Path | None, Parameter(alias="-f")] = None,
    form: Annotated[
        Literal["table", "csv", "json", "arrow"] | None, Parameter(name="--format")
    ] = None,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    options: SessionOptions = _DEFAULT,
) -> int:
    """Run SQL and print the rows of its last statement.

    Messages and progress go to standard error. Ctrl-C cancels the query; a second one leaves at
    once. Exit status: 0; 1 if the query failed; 2 if it could not be run; 130 after Ctrl-C.

    Examples:
    * `livius sql "SHOW TABLES"`
    * `livius sql -f report.sql -o report.csv`
    * `livius sql --session work --format json "SELECT * FROM trips LIMIT 10" | jq`

    Parameters
    ----------
    query
        One or more SQL statements, separated by semicolons; standard input if left out or `-`.
    file
        Read the SQL from this file.
    form
        The format of the rows. If left out, the ending of --output chooses it; without --output it
        is a table on a terminal and CSV in a pipe. `arrow` is an Arrow IPC stream; it needs
        pyarrow.
    output
        Write the rows to this file. It is replaced only once the query has succeeded.
    """
    from livius.cli.work.running import sql as run

    return run(query, file=file, form=form, output=output, options=options)


def run(
    source: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    kind: Literal["pyspark", "sql", "spark"] | None = None,
    options: SessionOptions = _DEFAULT,
) -> int:
    """Run a file's code in a session: .py, .sql, .scala, or the cells of a notebook (.ipynb).

    The command shows output while the code runs, then the value of the last expression or the rows
    of a query. A notebook stops at the first cell that fails. Ctrl-C cancels the statement; a
    second one leaves at once. Exit status: 0; 1 if the code failed; 2 if it could not be run; 130
    after Ctrl-C.

    Examples:
    * `livius run job.py`
    * `livius run report.ipynb --lakehouse silver`
    * `generate | livius run - --kind pyspark --session work`

    Parameters
    ----------
    source
        The file, or `-` for standard input.
    kind
        The language: Python (pyspark), SQL or Scala (spark). If left out, the file's name or the
        notebook says it.
    """
    from livius.cli.work.running import run_file

    return run_file(source, kind=kind, options=options)


@session_app.command(name="list")
def list_all(
    *,
    lakehouse: str | None = None,
    ended: Annotated[bool, Parameter(name="--all")] = False,
    as_json: AsJson = False,
) -> int:
    """List the live sessions that the sample application sees.

    Parameters
    ----------
    lakehouse
        Only sessions of this lakehouse: its name or id, or workspace/name.
    ended
        Include sessions that have ended or were deleted.
    """
    from livius.cli.work.sessions import list_all as work

    return work(lakehouse=lakehouse, ended=ended, as_json=as_json)


@session_app.command
def show(session: str, /, *, lakehouse: str | None = None, as_json: AsJson = False) -> int:
    """Show a session: its state, times, tags, errors and latest statements.

    Parameters
    ----------
    session
        The session's id or name. A name that several ended sessions share means the latest.
    lakehouse
        Look in this lakehouse only.
    """
    from livius.cli.work.sessions import show as work

    return work(session, lakehouse=lakehouse, as_json=as_json)


@session_app.command
def stop(session: str, /, *more: str, lakehouse: str | None = None) -> int:
    """End sessions. Their running statements are cancelled.

    Parameters
    ----------
    session
        The session's id or name.
    more
        Further sessions.
    lakehouse
        Look in this lakehouse only.
    """
    from livius.cli.work.sessions import stop as work

    return work((session, *more), lakehouse=lakehouse)


@session_app.command
def log(
    session: str,
    /,
    *,
    source: Literal["stderr", "stdout", "livy"] = "stderr",
    lines: Annotated[int, Parameter(alias="-n")] = 100,
    follow: Annotated[bool, Parameter(alias="-f")] = False,
    lakehouse: str | None = None,
) -> int:
    """Print the last lines of a session's log, also after the session has ended.

    Parameters
    ----------
    session
        The session's id or name. A name that several ended sessions share means the latest.
    source
        A stream of Spark's driver (stderr, which has Spark's log, or stdout), or the events of the
        session (livy).
    lines
        How many of the last lines to print first.
    follow
        Print new lines as they are written, until the session ends.
    lakehouse
        Look in this lakehouse only.
    """
    from livius.cli.work.sessions import log as work

    return work(session, lakehouse=lakehouse, source=source, lines=lines, follow=follow)
