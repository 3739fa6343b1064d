"""The command line: ``livius``. Each command imports what it needs, so that help is quick."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Parameter

from livius import __version__
from livius.cli.lakehouse import app as lakehouse

app = App(
    name="livius",
    version=__version__,
    help="""Livius speaks the Microsoft Fabric Livy API in front of Apache Spark.

    Begin with `livius up`: it sets up what is missing (Java, Spark, certificates, a sample
    lakehouse), starts the gateway and says what to try next. `livius doctor` finds out why
    something does not work.

    Settings are environment variables: LIVIUS_HOME (the data folder; another one is another
    installation), LIVIUS_PORT, LIVIUS_HTTP_PORT, LIVIUS_DRIVER_MEMORY and others; see
    docs/reference/settings.md.""",
)


app.command(lakehouse)


@app.command
def up(*, detach: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Set up what is missing, start the gateway, say what to try next.

    May be interrupted and run again at any moment: it goes on where it was.

    Parameters
    ----------
    detach
        Return once the gateway serves, instead of staying until Ctrl-C.
    """
    from livius.cli.up import up as run

    return run(detach=detach)


@app.command
def down() -> int:
    """Stop the gateway of this data folder, with its sessions and its metastore."""
    from livius.cli.running import down as run

    return run()


@app.command
def status() -> int:
    """Say whether a gateway serves, where, and with how many sessions."""
    from livius.cli.running import status as run

    return run()


@app.command
def logs(
    *,
    follow: Annotated[bool, Parameter(alias="-f", negative="")] = False,
    lines: Annotated[int, Parameter(alias="-n")] = 50,
) -> int:
    """Show the gateway's log.

    Parameters
    ----------
    follow
        Go on showing what is added.
    lines
        How many of the last lines to begin with.
    """
    from livius.cli.running import logs as run

    return run(follow=follow, lines=lines)


@app.command
def doctor(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Look for what could keep Livius from working here, and say what to do about it.

    The exit code is 1 if something does keep it.

    Parameters
    ----------
    as_json
        Print the findings for a program to read.
    """
    from livius.cli.doctor import doctor as run

    return run(as_json=as_json)


@app.command
def token() -> int:
    """Print an access token for the sample application, good for an hour."""
    from livius.cli.running import token as run

    return run()


@app.command
def serve(*, keep_drivers: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Serve in this process, without set-up: what `up` starts, and what a service manager runs.

    Parameters
    ----------
    keep_drivers
        Leave sessions and metastore running at the end, for the next start to adopt.
    """
    from livius.cli.serving import serve as run

    return run(keep_drivers=keep_drivers)


@app.command
def runtime() -> int:
    """Build Java and the Spark runtime without starting anything; print where they are."""
    from livius.cli.up import build

    return build()


def main() -> None:
    """Run the command line."""
    if sys.platform != "linux":
        sys.exit("Livius runs on Linux, WSL2 included. Nothing was changed.")
    # Cyclopts ends the process with what a command returns.
    app()
