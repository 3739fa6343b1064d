"""``livius secret``: works on the data folder; a gateway that serves sees the change at once."""

from __future__ import annotations

import getpass
import sys
from typing import Final

from livius.adapters.clock import SystemClock
from livius.adapters.store import SqlStore
from livius.adapters.vaults import FileVaults
from livius.cli.console import out, print_json, settings
from livius.cli.records import with_store
from livius.domain.audit import Action
from livius.domain.errors import NotFound
from livius.domain.vault import LARGEST_SECRET
from livius.installation.home import Home
from livius.usecases.audit_throttle import act

_CLOCK: Final = SystemClock()


def set_value(vault: str, name: str) -> int:
    """Set a secret."""
    value = _value(f"Value of {name} in {vault}: ")

    async def work(store: SqlStore) -> None:
        secret = _vaults().put(vault, name, value)
        await store.note(act(_CLOCK, Action.SECRET_SET, f"{vault}/{secret.name}"))
        out.print(f"{secret.name}  version {secret.version}", markup=False)

    return with_store(work)


def list_all(vault: str | None, *, as_json: bool) -> int:
    """List names."""

    async def work(_store: SqlStore) -> None:
        vaults = _vaults()
        found = [
            {"vault": one, "name": secret.name, "createdAt": secret.created_at}
            for one in ([vault] if vault else vaults.vaults())
            for secret in vaults.names(one)
        ]
        if as_json:
            print_json(
                [{**one, "createdAt": f"{one['createdAt']:%Y-%m-%dT%H:%M:%SZ}"} for one in found]
            )
            return
        for one in found:
            line = f"{one['vault']}  {one['name']}  {one['createdAt']:%Y-%m-%d %H:%M} UTC"
            out.print(line, markup=False)

    return with_store(work)


def remove(vault: str, name: str) -> int:
    """Delete a secret."""

    async def work(store: SqlStore) -> None:
        if not _vaults().remove(vault, name):
            raise NotFound(
                "SecretNotFound",
                f"There is no secret {name} in the vault {vault}. See: livius secret list",
            )
        await store.note(act(_CLOCK, Action.SECRET_REMOVE, f"{vault}/{name}"))

    return with_store(work)


def _value(prompt: str) -> str:
    """Return what is typed, or what standard input has, without the newline at its end."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.read(4 * LARGEST_SECRET).removesuffix("\n").removesuffix("\r")


def _vaults() -> FileVaults:
    return FileVaults(Home(settings().home).vaults, _CLOCK)
