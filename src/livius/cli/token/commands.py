"""``livius token``: an access token for the sample application, and personal access tokens."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from livius.cli.parameters import AsJson

app = App(
    name="token",
    help="""Print an access token for the sample application, good for an hour.

    The commands below are about personal access tokens, for clients that know a password and no
    sign-in: they send one as a bearer token, or as the password of Basic authentication.""",
)


@app.default
def token() -> int:
    """Print an access token for the sample application, good for an hour."""
    from livius.cli.status import token as run

    return run()


@app.command
def create(
    *,
    scope: Annotated[list[str] | None, Parameter(negative="")] = None,
    expires: str = "30d",
    name: str = "",
    principal: Annotated[str | None, Parameter(name="--for")] = None,
) -> int:
    """Make a personal access token and print it: it is shown here and never again.

    For example: `livius token create --scope Lakehouse.Read.All --expires 12h --name airflow`.

    Parameters
    ----------
    scope
        What it may be used for, may be given several times; Fabric's four required scopes if left
        out.
    expires
        After how long it ends: a number with m, h or d; at most 366d.
    name
        What you will know it by.
    principal
        Whom it stands for, by object id; the sample application if left out.
    """
    from livius.cli.token.actions import create as run

    return run(scopes=scope, expires=expires, name=name, principal=principal)


@app.command(name="list")
def list_all(*, as_json: AsJson = False) -> int:
    """List the personal access tokens: whose, what for, until when. Never the tokens."""
    from livius.cli.token.actions import list_all as run

    return run(as_json=as_json)


@app.command
def revoke(token: str, /) -> int:
    """End a personal access token at once.

    Parameters
    ----------
    token
        Its id, as `livius token list` shows it.
    """
    from livius.cli.token.actions import revoke as run

    return run(token)
