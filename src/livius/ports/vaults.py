"""Secrets for sessions."""

from __future__ import annotations

from typing import Protocol


class Vaults(Protocol):
    """Azure Key Vault, or the vaults of this installation."""

    async def secret(self, vault: str, name: str, *, token: str) -> str:
        """Return the current value of a secret.

        ``vault`` is a vault's name or URL, ``token`` is for the audience of Azure Key Vault.

        Raises:
            Invalid: the name of vault or secret can't be one.
            NotFound: there is no such vault or secret.
            LiviusError: the vault refuses, or can't be reached.
        """
        ...
