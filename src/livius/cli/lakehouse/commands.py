"""``livius lakehouse``: the commands. What they do is in `livius.cli.lakehouse.actions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from livius.cli.parameters import AsJson

app = App(
    name="lakehouse",
    help="""List and create lakehouses, and load your own files into their tables.

    For example: `livius lakehouse load ~/trips.csv` makes the table trips in the sample lakehouse,
    which every session then finds as `SELECT * FROM trips`.

    A Delta table that you copy into a lakehouse's folder Tables/ needs no command: sessions find
    it within seconds.""",
)


@app.command(name="list")
def list_all(*, as_json: AsJson = False) -> int:
    """List the lakehouses with their ids, folders and tables."""
    from livius.cli.lakehouse.actions import list_all as run

    return run(as_json=as_json)


@app.command
def create(
    name: str,
    /,
    *,
    workspace: str | None = None,
    description: str = "",
    schemas: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Create a lakehouse. Sessions can use it at once.

    For example: `livius lakehouse create silver --description "clean data"`.

    Parameters
    ----------
    name
        Up to 123 letters, digits and underscores, of which the first is a letter.
    workspace
        Name or id of the workspace; the sample's if left out.
    description
        A description of up to 256 characters.
    schemas
        With schemas: its tables are in dbo and in schemas that you create, and their names can
        have three or four parts. This can't be changed later.
    """
    from livius.cli.lakehouse.actions import create as run

    return run(name, workspace=workspace, description=description, schemas=schemas)


@app.command
def load(
    source: Path,
    /,
    *,
    table: str | None = None,
    lakehouse: str | None = None,
    mode: Literal["error", "append", "overwrite"] = "error",
    format: Literal["parquet", "csv", "json", "delta"] | None = None,  # noqa: A002 - the option
    header: Annotated[bool, Parameter(negative="--no-header")] = True,
    delimiter: str | None = None,
) -> int:
    """Load a file, or a folder of files, into a Delta table.

    It reads Parquet, CSV, JSON and JSON Lines, the last three also as .gz, from anywhere on this
    machine, and doesn't change the files. It prints the table's number of rows. Ctrl-C cancels the
    load.

    Exit status: 0; 2 if nothing was loaded; 130 after Ctrl-C.

    Examples:
    * `livius lakehouse load trips.parquet`
    * `livius lakehouse load sales/2026 --table sales --lakehouse silver`
    * `livius lakehouse load more.csv.gz --table trips --mode append`
    * `livius lakehouse load export.txt --format csv --no-header --delimiter ";"`

    Parameters
    ----------
    source
        The file or folder. All files of a folder have one format; files whose names begin with a
        dot or an underscore are skipped.
    table
        The table's name; derived from the file's name if left out.
    lakehouse
        Name or id of the lakehouse, or workspace/name; the sample if left out.
    mode
        If the table exists: stop (error), add rows (append), or replace it (overwrite).
    format
        The format of the files; derived from their names if left out.
    header
        Whether a CSV file's first line has the columns' names.
    delimiter
        The separator of a CSV file's values; a comma, or a tab for .tsv, if left out.
    """
    from livius.cli.lakehouse.actions import load as run
    from livius.cli.lakehouse.loading import Wanted

    return run(
        Wanted(
            source=source,
            table=table,
            mode=mode,
            format=format,
            header=header,
            delimiter=delimiter,
        ),
        lakehouse=lakehouse,
    )
