"""Azure Key Vault's REST, reading only, over the vaults of this installation."""

from livius.api.vault.routes import router

__all__ = ["router"]
