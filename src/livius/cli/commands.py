"""All commands. Each imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from cyclopts import App, Parameter

from livius import __version__
from livius.cli.environment.commands import app as environment
from livius.cli.identity.commands import app as identity
from livius.cli.kernel import app as kernel
from livius.cli.lakehouse.commands import app as lakehouse
from livius.cli.parameters import AsJson
from livius.cli.runtime.commands import app as runtime
from livius.cli.secret.commands import app as secret
from livius.cli.token.commands import app as token
from livius.cli.work.commands import run, session_app, sql
from livius.cli.workspace.commands import app as workspace


def _default(value: object) -> str | None:
    """Return what help says of an option's default: nothing where it is to be off or left out."""
    return str(value) if value else None


app = App(
    name="livius",
    version=__version__,
    help="Livius speaks the Microsoft Fabric Livy API in front of Apache Spark.",
    help_format="markdown",
    default_parameter=Parameter(negative=(), show_default=_default),
)


app.command(sql)
app.command(run)
app.command(session_app)
app.command(kernel)
app.command(lakehouse)
app.command(environment)
app.command(identity)
app.command(workspace)
app.command(token)
app.command(secret)
app.command(runtime)


@app.command
def up(*, detach: bool = False) -> int:
    """Set up what is missing, start the gateway, say what to try next.

    It may be interrupted at any moment; the next run resumes it.

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

    Exit status: 0 if a gateway serves, 3 if none runs, 4 if one is starting, 1 if it doesn't
    answer.
    """
    from livius.cli.status import status as run

    return run(as_json=as_json)


@app.command(name="open")
def open_(*, print_: Annotated[bool, Parameter(name="--print")] = False) -> int:
    """Open the portal in the browser, with the first user signed in.

    The browser opens a link that signs in once, within ten minutes. Only a user of this machine
    who may write to the data folder can make a link.

    Parameters
    ----------
    print_
        Print the link instead, for a browser on this machine.
    """
    from livius.cli.opening import open_portal

    return open_portal(only_print=print_)


@app.command
def logs(
    *,
    follow: Annotated[bool, Parameter(alias="-f")] = False,
    lines: Annotated[int, Parameter(alias="-n")] = 50,
) -> int:
    """Show the gateway's log: formatted on a terminal, as it was written in a pipe.

    Parameters
    ----------
    follow
        Print new lines as the gateway writes them, until Ctrl-C.
    lines
        How many of the last lines to print first.
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
    """Show who did what, with which result, from where, in all workspaces.

    It works whether or not a gateway runs. `--json` prints one record per line.

    Examples:
    * `livius audit --action sign_in --since 2026-11-25`
    * `livius audit --actor ada --json -n 1000`

    Parameters
    ----------
    workspace
        Only records of this workspace, by name or id.
    session
        Only records of this session, by id.
    actor
        Only records of this user or application, by name or object id.
    action
        Only records of this action, such as sign_in, token.issue, role.assign or request.refuse.
    since
        Only records from this moment on, in UTC.
    lines
        How many of the latest records to print.
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
    """Find problems that could keep Livius from working here, and say how to solve them.

    Exit status: 1 if a problem keeps Livius from working, else 0.
    """
    from livius.cli.doctor import doctor as run

    return run(as_json=as_json)


@app.command(name="exec")
def execute(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    only: bool = False,
    up: bool = False,
    user: Annotated[str | None, Parameter(name="--as")] = None,
) -> int:
    """Run a program that was written for Fabric, with no change, against this gateway.

    The host names of Fabric, OneLake, Key Vault and Entra lead to Livius for the program and the
    processes that it starts, and for nothing else on this machine. A proxy on loopback, a
    certificate that only these processes trust, and the variables that requests, MSAL,
    azure-identity, httpx, curl, Node and others read make them do so. Sign-in pages open in your
    browser. `az account get-access-token` and the managed identity return tokens of the sample
    application. Exit status, signals and terminal are the program's own.

    Examples:
    * `livius exec -- python my_notebook.py`
    * `livius exec -- dbt build`
    * `livius exec -- bash`, for a shell in which every command is intercepted
    * `livius exec --up --only --as admin -- pytest`, in CI: starts the gateway, refuses all other
      hosts, and signs in the user admin where a program opens a sign-in page

    A program that ignores proxy variables is not intercepted. Name the gateway in the program's
    own settings.

    Parameters
    ----------
    command
        The program and its arguments, after `--`.
    only
        Refuse connections to other hosts instead of passing them through.
    up
        Start the gateway first if none serves, as `livius up --detach` does. It keeps running.
    user
        Sign in this user on sign-in pages, without a browser, and let `az` return this user's
        tokens. Livius knows the first user's password; the variable LIVIUS_PASSWORD has another's.
    """
    from livius.cli.intercept.commands import execute as run

    return run(list(command), only=only, up=up, user=user)


@app.command
def env(
    *,
    only: bool = False,
    pid: int | None = None,
    user: Annotated[str | None, Parameter(name="--as")] = None,
) -> int:
    """Print the variables that `exec` sets, as exports for your shell.

    Use it as `eval "$(livius env)"`. The shell and the programs that it starts are intercepted
    until the shell ends. `livius exec -- bash` starts a new shell instead, which you can leave.

    Parameters
    ----------
    only
        Refuse connections to other hosts instead of passing them through.
    pid
        Intercept until this process ends; the shell that runs this command if left out.
    user
        Sign in this user without a browser, as with `exec`.
    """
    from livius.cli.intercept.commands import export as run

    return run(only=only, process=pid, user=user)


@app.command
def serve(
    *,
    keep_drivers: bool = False,
    first_run: bool = False,
) -> int:
    """Serve in this process, without set-up: `up` starts it, and a service manager can.

    Parameters
    ----------
    keep_drivers
        Leave sessions and metastore running at the end, for the next start to adopt.
    first_run
        Load the sample table into the sample lakehouse, and check once with a session that
        everything works. `up` passes this option until the check has succeeded.
    """
    from livius.cli.serving import serve as run

    return run(keep_drivers=keep_drivers, first_run=first_run)
