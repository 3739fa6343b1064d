"""``livius identity``: the commands. What they do is in `livius.cli.identity.actions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from livius.cli.parameters import AsJson

_Application = Annotated[str, Parameter(help="The application, by client id or name.")]
_User = Annotated[str, Parameter(help="The user, by username or object id.")]

app = App(
    name="identity",
    help="""Users, client applications, consents and keys of the embedded authority.

    A user signs in on a page. A client application is a program that signs users in, or that signs
    in as itself with a secret or certificate. Changes take effect at once, also in a running
    gateway. Passwords and secrets are shown once and stored as hashes.""",
)
user = App(name="user", help="People who can sign in.")
application = App(name="app", help="Client applications: what Entra calls app registrations.")
consent = App(
    name="consent", help="The consents of users: which application may act for a user, and how."
)
app.command(user)
app.command(application)
app.command(consent)


@user.command(name="create")
def create_user(
    username: str,
    /,
    *,
    name: str = "",
    password_stdin: bool = False,
) -> int:
    """Create a user and show the password once.

    For example: `livius identity user create ada --name "Ada L."`. Then assign the user a role
    with `livius workspace assign`; without a role the user sees nothing.

    Parameters
    ----------
    username
        Such as ada@example.org; a name without a domain gets @livius.localhost.
    name
        The display name.
    password_stdin
        Read the password from standard input instead of generating one.
    """
    from livius.cli.identity.actions import create_user as run

    return run(username, name=name, password_stdin=password_stdin)


@user.command(name="list")
def list_users(*, as_json: AsJson = False) -> int:
    """List the users with their object ids."""
    from livius.cli.identity.actions import list_users as run

    return run(as_json=as_json)


@user.command(name="set-password")
def set_password(username: _User, /, *, password_stdin: bool = False) -> int:
    """Set a new password for a user and show it once. The user's sign-ins end.

    Parameters
    ----------
    password_stdin
        Read the password from standard input instead of generating one.
    """
    from livius.cli.identity.actions import set_password as run

    return run(username, password_stdin=password_stdin)


@user.command(name="disable")
def disable_user(username: _User, /) -> int:
    """Keep a user from signing in. Its roles stay; its access tokens end within seconds."""
    from livius.cli.identity.actions import set_user_disabled as run

    return run(username, disabled=True)


@user.command(name="enable")
def enable_user(username: _User, /) -> int:
    """Let a disabled user sign in again."""
    from livius.cli.identity.actions import set_user_disabled as run

    return run(username, disabled=False)


@user.command(name="remove")
def remove_user(username: _User, /) -> int:
    """Delete a user with its roles, tokens and consents. Access tokens end within seconds."""
    from livius.cli.identity.actions import remove_user as run

    return run(username)


@application.command(name="create")
def create_app(
    name: str,
    /,
    *,
    public: bool = False,
    redirect_uri: list[str] | None = None,
    scope: list[str] | None = None,
) -> int:
    """Register a client application and show its client id.

    Examples:
    * A notebook or tool that signs users in:
      `livius identity app create notebook --public --redirect-uri http://localhost
      --scope Lakehouse.Execute.All --scope Code.AccessFabric.All`
    * A pipeline that signs in as itself: `livius identity app create pipeline`, then
      `livius identity app add-secret pipeline`

    Parameters
    ----------
    name
        The name that users see on the consent page.
    public
        The application has no secret: it signs users in by PKCE or device code.
    redirect_uri
        A redirect URI; may be given several times. http://localhost stands for any port.
    scope
        A scope that the application may request of users; may be given several times.
    """
    from livius.cli.identity.actions import create_app as run

    return run(name, public=public, redirect_uris=redirect_uri or [], scopes=scope or [])


@application.command(name="list")
def list_apps(*, as_json: AsJson = False) -> int:
    """List the client applications with their credentials, scopes and redirect URIs."""
    from livius.cli.identity.actions import list_apps as run

    return run(as_json=as_json)


@application.command(name="remove")
def remove_app(app: _Application, /) -> int:
    """Delete a client application, by client id or name, with the consents of users."""
    from livius.cli.identity.actions import remove_app as run

    return run(app)


@application.command
def add_secret(app: _Application, /) -> int:
    """Add a client secret to an application and show it once."""
    from livius.cli.identity.actions import add_secret as run

    return run(app)


@application.command
def add_certificate(app: _Application, file: Path, /) -> int:
    """Register a certificate with which an application signs in, and show its thumbprint.

    For example: `livius identity app add-certificate pipeline certificate.pem`. MSAL needs the
    thumbprint.

    Parameters
    ----------
    file
        The certificate in PEM, with an RSA key. The private key stays with the application.
    """
    from livius.cli.identity.actions import add_certificate as run

    return run(app, file)


@application.command
def remove_credential(app: _Application, credential: str, /) -> int:
    """Remove a secret or certificate of an application.

    Parameters
    ----------
    credential
        The secret's id or the certificate's thumbprint, as `livius identity app list` shows it.
    """
    from livius.cli.identity.actions import remove_credential as run

    return run(app, credential)


@application.command
def allow(app: _Application, /, *scopes: str) -> int:
    """Let an application request further scopes of users, by their short names.

    For example: `livius identity app allow notebook Code.AccessSQL.All`.

    Parameters
    ----------
    scopes
        The scopes to add.
    """
    from livius.cli.identity.actions import allow as run

    return run(app, scopes)


@application.command
def disallow(app: _Application, /, *scopes: str) -> int:
    """Remove scopes from an application, even if users have consented to them.

    Parameters
    ----------
    scopes
        The scopes to remove, by their short names.
    """
    from livius.cli.identity.actions import disallow as run

    return run(app, scopes)


@application.command
def add_redirect(app: _Application, uri: str, /) -> int:
    """Register a redirect URI of an application.

    Parameters
    ----------
    uri
        An https address, or an http address on loopback.
    """
    from livius.cli.identity.actions import add_redirect as run

    return run(app, uri)


@application.command
def remove_redirect(app: _Application, uri: str, /) -> int:
    """Remove a redirect URI from an application.

    Parameters
    ----------
    uri
        The address, as it was registered.
    """
    from livius.cli.identity.actions import remove_redirect as run

    return run(app, uri)


@consent.command(name="list")
def list_consents(*, as_json: AsJson = False) -> int:
    """List the consents: user, application and scopes."""
    from livius.cli.identity.actions import list_consents as run

    return run(as_json=as_json)


@consent.command(name="grant")
def grant_consent(username: _User, app: _Application, /) -> int:
    """Consent, for a user, to all scopes that an application may request.

    An application that acts on behalf of users behind another one can't show a consent page.
    """
    from livius.cli.identity.actions import grant_consent as run

    return run(username, app)


@consent.command(name="revoke")
def revoke_consent(username: _User, app: _Application, /) -> int:
    """Remove a user's consent to an application, and end its refresh tokens for that user."""
    from livius.cli.identity.actions import revoke_consent as run

    return run(username, app)


@app.command
def rotate_key(*, now: bool = False) -> int:
    """Sign tokens with a new key. Tokens that the old key signed stay valid until they expire.

    Parameters
    ----------
    now
        Stop trusting the old keys, so that all tokens end at once. Use it if a key was stolen.
    """
    from livius.cli.identity.actions import rotate_key as run

    return run(now=now)
