"""Vaults of secrets, named and versioned as Azure Key Vault's are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from livius.domain.errors import Invalid

RESOURCE: Final = "https://vault.azure.net"
"""The audience of tokens for a vault."""

HOST: Final = "vault.azure.net"
LARGEST_SECRET: Final = 25 * 1024
"""Bytes of UTF-8, as in Azure."""

_VAULT: Final = re.compile(r"[a-z][a-z0-9-]{2,23}")
_NAME: Final = re.compile(r"[a-z0-9-]{1,127}")
_ADDRESS: Final = re.compile(
    rf"https://(?:(?P<name>[^./]+)\.{re.escape(HOST)}(?::443)?|[^/]+/vaults/(?P<path>[^/]+))/*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One version of a secret; ``name`` is in lower case, and case doesn't distinguish names."""

    name: str
    version: str
    value: str
    created_at: datetime

    def __repr__(self) -> str:
        return f"Secret({self.name}, {self.version})"


def vault_name(text: str) -> str:
    """Return a vault's name from a name, from Azure's URL of it, or from ours.

    Raises:
        Invalid: it can't be one.
    """
    plain = text.strip().lower()
    found = _ADDRESS.fullmatch(plain)
    name = plain if found is None else found["name"] or found["path"]
    if _VAULT.fullmatch(name) is None:
        raise Invalid(
            "BadParameter",
            f"{text[:200]!r} names no vault. Write its name, 3 to 24 letters, digits and "
            f"hyphens, or https://<name>.{HOST}/.",
            field="vault",
        )
    return name


def secret_name(text: str) -> str:
    """Return a secret's name as it is stored.

    Raises:
        Invalid: it can't be one.
    """
    name = text.strip().lower()
    if _NAME.fullmatch(name) is None:
        raise Invalid(
            "BadParameter",
            f"{text[:200]!r} names no secret: a name has 1 to 127 letters, digits and hyphens.",
            field="name",
        )
    return name


def check_value(value: str) -> None:
    """Refuse a value that no vault accepts.

    Raises:
        Invalid: empty, or too large.
    """
    size = len(value.encode("utf-8", "surrogatepass"))
    if not 0 < size <= LARGEST_SECRET:
        raise Invalid(
            "BadParameter", f"A secret has 1 to {LARGEST_SECRET} bytes, not {size}.", field="value"
        )
