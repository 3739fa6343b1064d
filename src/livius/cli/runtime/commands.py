"""``livius runtime``: the commands. What they do is in `livius.cli.runtime.actions`."""

from __future__ import annotations

from cyclopts import App

from livius.cli.parameters import AsJson

app = App(
    name="runtime",
    help="""Build and list the runtimes: Spark, Delta, Python packages and Java for them.

    Without a command, build the default one. Nothing is started.""",
)


@app.default
def build_default() -> int:
    """Build the default runtime, and print where it is."""
    from livius.cli.runtime.actions import build as run

    return run(None)


@app.command
def build(name: str | None = None, /, *, full: bool = False, no_archive: bool = False) -> int:
    """Build a runtime, and print where it is. Parts of it that exist are used.

    A gateway builds a runtime by itself when a session first uses it.

    Parameters
    ----------
    name
        The runtime's name, such as 1.3. Default: LIVIUS_DEFAULT_RUNTIME.
    full
        Add the most used packages of Fabric's list, such as scikit-learn and seaborn, and the jar
        of spark-avro. docs/reference/runtimes.md has them all. A full runtime stays full.
    no_archive
        Leave out its class archive, with which sessions start sooner. A gateway makes it later.
    """
    from livius.cli.runtime.actions import build as run

    return run(name, full=full, archive=not no_archive)


@app.command(name="list")
def list_all(*, as_json: AsJson = False) -> int:
    """List the runtimes that this version can build, and which of them are built."""
    from livius.cli.runtime.actions import list_all as run

    return run(as_json=as_json)
