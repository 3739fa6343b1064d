"""``livius secret``: the commands. What they do is in `livius.cli.secret.actions`."""

from __future__ import annotations

from cyclopts import App

from livius.cli.parameters import AsJson

app = App(
    name="secret",
    help="""Keep secrets for sessions, in vaults of this installation.

    Session code reads them as in Fabric: `notebookutils.credentials.getSecret("vault", "name")`.
    They are in the data folder, readable by its owner only.""",
)


@app.command(name="set")
def set_value(vault: str, name: str, /) -> int:
    """Set a secret. The command asks for the value, or reads it from standard input.

    Examples:
    * `livius secret set my-vault db-password`
    * `livius secret set my-vault db-password < password.txt`

    Parameters
    ----------
    vault
        The vault's name, 3 to 24 letters, digits and hyphens. A new name makes a new vault.
    name
        The secret's name, up to 127 letters, digits and hyphens.
    """
    from livius.cli.secret.actions import set_value as run

    return run(vault, name)


@app.command(name="list")
def list_all(vault: str | None = None, /, *, as_json: AsJson = False) -> int:
    """List the vaults with the names of their secrets, never the values.

    Parameters
    ----------
    vault
        Only this vault.
    """
    from livius.cli.secret.actions import list_all as run

    return run(vault, as_json=as_json)


@app.command
def remove(vault: str, name: str, /) -> int:
    """Delete a secret with all its versions.

    Parameters
    ----------
    vault
        The vault's name.
    name
        The secret's name.
    """
    from livius.cli.secret.actions import remove as run

    return run(vault, name)
