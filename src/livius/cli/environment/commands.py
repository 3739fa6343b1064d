"""``livius environment``: the commands. `livius.cli.environment.actions` does the work."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from livius.cli.parameters import AsJson

app = App(
    name="environment",
    help="""List, create and publish environments: libraries and Spark properties of sessions.

    For example: `livius environment publish Lab requirements.txt helpers-1.0-py3-none-any.whl`.
    A session has it with `--conf spark.fabric.environment.id=ID`.""",
)


@app.command(name="list")
def list_all(*, as_json: AsJson = False) -> int:
    """List the environments with their ids and the states of their publishes."""
    from livius.cli.environment.actions import list_all as run

    return run(as_json=as_json)


@app.command
def create(name: str, /, *, workspace: str | None = None, description: str = "") -> int:
    """Create an environment with nothing in it.

    Parameters
    ----------
    name
        A name of up to 256 characters, unique in the workspace.
    workspace
        Name or id of the workspace; the sample's if left out.
    description
        A description of up to 256 characters.
    """
    from livius.cli.environment.actions import create as run

    return run(name, workspace=workspace, description=description)


@app.command
def show(name: str, /, *, as_json: AsJson = False) -> int:
    """Show what is staged and what is published of an environment, and the log of its publish.

    Parameters
    ----------
    name
        Name or id of the environment.
    """
    from livius.cli.environment.actions import show as run

    return run(name, as_json=as_json)


@app.command
def publish(name: str, /, *files: Path) -> int:
    """Stage files in an environment, publish it, and wait for the end. Ctrl-C cancels the publish.

    Sessions that are created then have the new version; those that run keep theirs.

    Parameters
    ----------
    name
        Name or id of the environment.
    files
        Custom libraries (.whl, .jar, .py, .R, .tar.gz), and at most one list of packages
        (requirements.txt or environment.yml), which replaces the present list. Without files:
        what is staged.
    """
    from livius.cli.environment.actions import publish as run

    return run(name, files)
