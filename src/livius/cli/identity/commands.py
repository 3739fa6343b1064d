"""``livius identity``: the commands. What they do is in `livius.cli.identity.actions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from livius.cli.parameters import AsJson

_Flag = Parameter(negative="")

app = App(
    name="identity",
    help="""Users, client applications, consents and keys of the embedded authority.

    A user signs in at a page; a client application is the program that asks for it, or that signs
    in for itself with a secret or certificate. Changes count at once, also for a gateway that runs.
    Passwords and secrets are shown once and kept as hashes.""",
)
user = App(name="user", help="People who can sign in.")
application = App(name="app", help="Client applications: what Entra calls app registrations.")
consent = App(name="consent", help="What users have let applications do in their name.")
app.command(user)
app.command(application)
app.command(consent)


@user.command(name="create")
def create_user(
    username: str,
    /,
    *,
    name: str = "",
    password_stdin: Annotated[bool, _Flag] = False,
) -> int:
    """Make a user and show the password once.

    For example: `livius identity user create ada --name "Ada L."`. Then give the user a role in a
    workspace, or there is nothing to see.

    Parameters
    ----------
    username
        Like ada@example.org; without a domain it gets @livius.localhost.
    name
        What others see.
    password_stdin
        Read the password from standard input, instead of drawing one.
    """
    from livius.cli.identity.actions import create_user as run

    return run(username, name=name, password_stdin=password_stdin)


@user.command(name="list")
def list_users(*, as_json: AsJson = False) -> int:
    """List the users with their object ids."""
    from livius.cli.identity.actions import list_users as run

    return run(as_json=as_json)


@user.command(name="set-password")
def set_password(username: str, /, *, password_stdin: Annotated[bool, _Flag] = False) -> int:
    """Give a user another password and show it once. The user's sign-ins end.

    Parameters
    ----------
    username
        The user, by username or object id.
    password_stdin
        Read the password from standard input, instead of drawing one.
    """
    from livius.cli.identity.actions import set_password as run

    return run(username, password_stdin=password_stdin)


@user.command(name="remove")
def remove_user(username: str, /) -> int:
    """Delete a user with its roles, tokens and consents. Access tokens end within seconds."""
    from livius.cli.identity.actions import remove_user as run

    return run(username)


@application.command(name="create")
def create_app(
    name: str,
    /,
    *,
    public: Annotated[bool, _Flag] = False,
    redirect_uri: list[str] | None = None,
    scope: list[str] | None = None,
) -> int:
    """Register a client application and show its client id.

    Examples:
    * A notebook or tool that people sign in with:
      `livius identity app create notebook --public --redirect-uri http://localhost
      --scope Lakehouse.Execute.All --scope Code.AccessFabric.All`
    * A pipeline that signs in for itself: `livius identity app create pipeline`, then
      `livius identity app add-secret pipeline`

    Parameters
    ----------
    name
        What people see when they are asked for consent.
    public
        It can't keep a secret: it signs people in by PKCE or device code without one.
    redirect_uri
        Where people are sent back to; http://localhost counts for any port. Repeat it for more.
    scope
        What it may ask users for. Repeat it for more.
    """
    from livius.cli.identity.actions import create_app as run

    return run(name, public=public, redirect_uris=redirect_uri or [], scopes=scope or [])


@application.command(name="list")
def list_apps(*, as_json: AsJson = False) -> int:
    """List the client applications with their credentials, scopes and redirect URIs."""
    from livius.cli.identity.actions import list_apps as run

    return run(as_json=as_json)


@application.command(name="remove")
def remove_app(app: str, /) -> int:
    """Delete a client application, by client id or name, with all that users let it do."""
    from livius.cli.identity.actions import remove_app as run

    return run(app)


@application.command
def add_secret(app: str, /) -> int:
    """Give an application a further client secret and show it once."""
    from livius.cli.identity.actions import add_secret as run

    return run(app)


@application.command
def add_certificate(app: str, file: Path, /) -> int:
    """Let an application prove itself with a certificate, and show its thumbprint for MSAL.

    For example: `livius identity app add-certificate pipeline certificate.pem`. The file holds the
    certificate in PEM, with an RSA key; the private key stays with the application.
    """
    from livius.cli.identity.actions import add_certificate as run

    return run(app, file)


@application.command
def remove_credential(app: str, credential: str, /) -> int:
    """Take a secret away by its id, or a certificate by its thumbprint (see `app list`)."""
    from livius.cli.identity.actions import remove_credential as run

    return run(app, credential)


@application.command
def allow(app: str, /, *scopes: str) -> int:
    """Let an application ask users for further scopes, by their short names.

    For example: `livius identity app allow notebook Code.AccessSQL.All`.
    """
    from livius.cli.identity.actions import allow as run

    return run(app, scopes)


@application.command
def disallow(app: str, /, *scopes: str) -> int:
    """Take scopes away from an application, whoever has consented to them."""
    from livius.cli.identity.actions import disallow as run

    return run(app, scopes)


@application.command
def add_redirect(app: str, uri: str, /) -> int:
    """Let people be sent back to an application at a URI: https, or http on loopback."""
    from livius.cli.identity.actions import add_redirect as run

    return run(app, uri)


@application.command
def remove_redirect(app: str, uri: str, /) -> int:
    """Take a redirect URI away from an application."""
    from livius.cli.identity.actions import remove_redirect as run

    return run(app, uri)


@consent.command(name="list")
def list_consents(*, as_json: AsJson = False) -> int:
    """List who has let which application do what."""
    from livius.cli.identity.actions import list_consents as run

    return run(as_json=as_json)


@consent.command(name="grant")
def grant_consent(username: str, app: str, /) -> int:
    """Consent in a user's place to all scopes that an application is allowed.

    An application that acts on behalf of users, behind another one, has no page to ask at.
    """
    from livius.cli.identity.actions import grant_consent as run

    return run(username, app)


@consent.command(name="revoke")
def revoke_consent(username: str, app: str, /) -> int:
    """Forget what a user let an application do; its refresh tokens end."""
    from livius.cli.identity.actions import revoke_consent as run

    return run(username, app)


@app.command
def rotate_key(*, now: Annotated[bool, _Flag] = False) -> int:
    """Sign tokens with a new key. The old one verifies until the tokens that it signed are dead.

    Parameters
    ----------
    now
        Believe the old keys no longer: all tokens end at once. For when a key was stolen.
    """
    from livius.cli.identity.actions import rotate_key as run

    return run(now=now)
