"""``livius secret``: works on the data folder; a gateway that serves sees the change at once."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

from livius.adapters.clock import SystemClock
from livius.adapters.vaults import FileVaults
from livius.cli.console import fail, out, settings
from livius.domain.errors import LiviusError
from livius.domain.vault import LARGEST_SECRET
from livius.installation.home import Home


def set_value(vault: str, name: str) -> int:
    """Set a secret."""
    value = _value(f"Value of {name} in {vault}: ")

    def run(vaults: FileVaults) -> int:
        secret = vaults.put(vault, name, value)
        out.print(f"{secret.name}  version {secret.version}", markup=False)
        return 0

    return _with_vaults(run)


def list_all(vault: str | None) -> int:
    """List names."""

    def run(vaults: FileVaults) -> int:
        for one in [vault] if vault else vaults.vaults():
            for secret in vaults.names(one):
                out.print(
                    f"{one}  {secret.name}  {secret.created_at:%Y-%m-%d %H:%M} UTC", markup=False
                )
        return 0

    return _with_vaults(run)


def remove(vault: str, name: str) -> int:
    """Delete a secret."""

    def run(vaults: FileVaults) -> int:
        if vaults.remove(vault, name):
            return 0
        return fail(f"There is no secret {name} in the vault {vault}. See: livius secret list")

    return _with_vaults(run)


def _value(prompt: str) -> str:
    """Return what is typed, or what standard input has, without the newline at its end."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.read(4 * LARGEST_SECRET).removesuffix("\n").removesuffix("\r")


def _with_vaults(run: Callable[[FileVaults], int]) -> int:
    home = Home(settings().home)
    if not home.root.is_dir():
        return fail(f"There is no installation in {home.root} yet. Make one with: livius up")
    try:
        return run(FileVaults(home.vaults, SystemClock()))
    except LiviusError as error:
        return fail(error.message)
