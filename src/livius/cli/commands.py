"""All commands. Each imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from cyclopts import App, Parameter

from livius import __version__
from livius.cli.identity.commands import app as identity
from livius.cli.kernel import app as kernel
from livius.cli.lakehouse.commands import app as lakehouse
from livius.cli.parameters import AsJson
from livius.cli.secret.commands import app as secret
from livius.cli.token.commands import app as token
from livius.cli.work.commands import run, session_app, sql
from livius.cli.workspace.commands import app as workspace

app = App(
    name="livius",
    version=__version__,
    help="Livius speaks the Microsoft Fabric Livy API in front of Apache Spark.",
    help_format="plaintext",
)


app.command(sql)
app.command(run)
app.command(session_app)
app.command(kernel)
app.command(lakehouse)
app.command(identity)
app.command(workspace)
app.command(token)
app.command(secret)


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
def status(*, as_json: AsJson = False) -> int:
    """Say whether a gateway serves, where, and with how many sessions.

    The exit code is 0 if one does, 3 if none does, 4 if one is starting and 1 if it does not
    answer.

    Parameters
    ----------
    as_json
        Print the same for a program to read.
    """
    from livius.cli.status import status as run

    return run(as_json=as_json)


@app.command(name="open")
def open_(*, print_: Annotated[bool, Parameter(name="--print", negative="")] = False) -> int:
    """Open the portal in the browser, with the first user signed in.

    A link signs in, once and within ten minutes. Only a user who may write the data folder can
    make one.

    Parameters
    ----------
    print_
        Print the link instead, to be opened in a browser on this machine.
    """
    from livius.cli.opening import open_portal

    return open_portal(only_print=print_)


@app.command
def logs(
    *,
    follow: Annotated[bool, Parameter(alias="-f", negative="")] = False,
    lines: Annotated[int, Parameter(alias="-n")] = 50,
) -> int:
    """Show the gateway's log: for people on a terminal, as it was written elsewhere.

    Parameters
    ----------
    follow
        Go on showing what is added.
    lines
        How many of the last lines to begin with.
    """
    from livius.cli.logs import logs as run

    return run(follow=follow, lines=lines)


@app.command
def audit(
    *,
    workspace: str | None = None,
    session: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    lines: Annotated[int, Parameter(alias="-n")] = 50,
    as_json: AsJson = False,
) -> int:
    """Show who did what, with which result, from where: of all workspaces, and of the installation.

    It works with or without a gateway. Examples:
    * `livius audit --action sign_in --since 2026-11-25`
    * `livius audit --actor ada --json -n 1000`

    Parameters
    ----------
    workspace
        Of this workspace only, by name or id.
    session
        Of this session only.
    actor
        What this user or application did, by name or object id.
    action
        Only this, such as sign_in, token.issue, role.assign or request.refuse.
    since
        From this moment on, in UTC.
    lines
        How many of the last records.
    as_json
        Print a line of JSON for each.
    """
    from livius.cli.audit import Wanted
    from livius.cli.audit import audit as run

    wanted = Wanted(
        workspace=workspace,
        session=session,
        actor=actor,
        action=action,
        since=since,
        lines=lines,
    )
    return run(wanted, as_json=as_json)


@app.command
def doctor(*, as_json: AsJson = False) -> int:
    """Look for what could keep Livius from working here, and say what to do about it.

    The exit code is 1 if something does keep it.

    Parameters
    ----------
    as_json
        Print the findings for a program to read.
    """
    from livius.cli.doctor import doctor as run

    return run(as_json=as_json)


@app.command(name="exec")
def execute(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    only: Annotated[bool, Parameter(negative="")] = False,
    up: Annotated[bool, Parameter(negative="")] = False,
    user: Annotated[str | None, Parameter(name="--as")] = None,
) -> int:
    """Run a program that was written for Fabric, with no change, against this gateway.

    For the program and what it starts, and for nothing else on this machine, the host names of
    Fabric, OneLake, Key Vault and Entra lead to Livius: by a proxy on loopback, by a certificate
    that only these processes trust, and by variables that requests, MSAL, azure-identity, httpx,
    curl, Node and others read. Pages to sign in at open in your browser. `az account
    get-access-token` and the managed identity give tokens of the sample application. Exit code,
    signals and terminal are the program's own.

    Examples:
    * `livius exec -- python my_notebook.py`
    * `livius exec -- dbt build`
    * `livius exec -- bash`, for a shell in which every command is intercepted
    * `livius exec --up --only --as admin -- pytest`, in CI: starts the gateway, reaches no other
      host, and where a program wants somebody to sign in, the user admin does

    A program that reads no proxy variables is not intercepted: its own settings have to name the
    gateway.

    Parameters
    ----------
    command
        The program and its arguments, behind `--`.
    only
        Refuse other hosts instead of passing them through.
    up
        Start the gateway first if none serves, as `livius up --detach` does. It goes on afterwards.
    user
        A user who signs in by itself, without a browser, and whom `az` gives tokens of. The first
        user's password is known; another's is taken from the variable LIVIUS_PASSWORD.
    """
    from livius.cli.intercept.commands import execute as run

    return run(list(command), only=only, up=up, user=user)


@app.command
def env(
    *,
    only: Annotated[bool, Parameter(negative="")] = False,
    pid: int | None = None,
    user: Annotated[str | None, Parameter(name="--as")] = None,
) -> int:
    """Print what `exec` sets, as exports for the shell that you are in.

    Use it as `eval "$(livius env)"`. The shell, and what it starts from then on, is intercepted
    until it ends. `livius exec -- bash` gives a shell of its own instead, which is the simpler way
    back.

    Parameters
    ----------
    only
        Refuse other hosts instead of passing them through.
    pid
        The process for whose life it is; the shell above this command if left out.
    user
        A user who signs in by itself, as with `exec`.
    """
    from livius.cli.intercept.commands import export as run

    return run(only=only, process=pid, user=user)


@app.command
def serve(
    *,
    keep_drivers: Annotated[bool, Parameter(negative="")] = False,
    first_run: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Serve in this process, without set-up: what `up` starts, and what a service manager runs.

    Parameters
    ----------
    keep_drivers
        Leave sessions and metastore running at the end, for the next start to adopt.
    first_run
        Put the sample table into the sample lakehouse and, beside, check the whole way once with a
        session. `up` asks for it until the check has passed.
    """
    from livius.cli.serving import serve as run

    return run(keep_drivers=keep_drivers, first_run=first_run)


@app.command
def runtime() -> int:
    """Build Java and the Spark runtime without starting anything; print where they are."""
    from livius.cli.up import build

    return build()
