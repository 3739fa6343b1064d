"""``livius token``: an access token for the sample application, and personal access tokens."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from livius.cli.parameters import AsJson

app = App(
    name="token",
    help="""Print an access token of the sample application, valid for an hour.

    The commands below manage personal access tokens, for clients that can't sign in. A client
    sends one as a bearer token, or as the password of Basic authentication.""",
)


@app.default
def token() -> int:
    """Print an access token of the sample application, valid for an hour."""
    from livius.cli.status import token as run

    return run()


@app.command
def create(
    *,
    scope: list[str] | None = None,
    expires: str = "30d",
    name: str = "",
    principal: Annotated[str | None, Parameter(name="--for")] = None,
) -> int:
    """Create a personal access token and print it. It is never shown again.

    For example: `livius token create --scope Lakehouse.Read.All --expires 12h --name airflow`.

    Parameters
    ----------
    scope
        A scope of the token; may be given several times. Fabric's four required scopes if left
        out.
    expires
        The token's lifetime: a number with m, h or d; at most 366d.
    name
        A name by which you will recognize the token.
    principal
        The user or application that the token acts as, by object id; the sample application if
        left out.
    """
    from livius.cli.token.actions import create as run

    return run(scopes=scope, expires=expires, name=name, principal=principal)


@app.command(name="list")
def list_all(*, as_json: AsJson = False) -> int:
    """List the personal access tokens with principal, scopes and expiry, never the tokens."""
    from livius.cli.token.actions import list_all as run

    return run(as_json=as_json)


@app.command
def revoke(token: str, /) -> int:
    """Revoke a personal access token at once.

    Parameters
    ----------
    token
        The token's id, as `livius token list` shows it.
    """
    from livius.cli.token.actions import revoke as run

    return run(token)
