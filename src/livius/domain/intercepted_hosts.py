"""The public host names that `livius exec` leads to the gateway, for one process tree.

Intercepted hosts are Microsoft's. All requests to such a host lead here: a program that was written
for Fabric must not reach the real Fabric with some of them, and with tokens that are valid here
only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

ENTRA: Final = frozenset(
    {
        "login.microsoftonline.com",
        "login.windows.net",
        "login.microsoft.com",
        "sts.windows.net",
    }
)
"""The hosts where clients sign in.

Intercepted for the embedded authority; a real tenant keeps its own.
"""

FABRIC: Final = frozenset(
    {
        "api.fabric.microsoft.com",
        "api.powerbi.com",
        "*.dfs.fabric.microsoft.com",
        "*.blob.fabric.microsoft.com",
        "*.vault.azure.net",
    }
)
"""Fabric, OneLake and Key Vault. An asterisk stands for one label, as it does in certificates."""

INTERCEPTED: Final = ENTRA | FABRIC

ELSEWHERE: Final = FABRIC - {"*.vault.azure.net"}
"""The hosts to intercept where another authority issues the tokens: no vaults."""


def constraints(names: Iterable[str]) -> list[str]:
    """Return the domains to which a certificate authority for the hosts is constrained."""
    return sorted(name.removeprefix("*.") for name in names)


def is_intercepted(host: str, names: frozenset[str] = INTERCEPTED) -> bool:
    """Tell whether a host is one of the names. A dot at its end is the same host."""
    plain = host.lower().removesuffix(".")
    return plain in names or re.sub(r"^[^.]+\.", "*.", plain) in names
