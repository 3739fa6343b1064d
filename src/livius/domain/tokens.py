"""Access tokens for Fabric: audiences, scopes and limits, and readers of common claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

TOKEN_LIFETIME: Final = timedelta(minutes=60)
CLOCK_SKEW: Final = timedelta(seconds=60)
"""The largest difference between the clocks of an issuer and of the gateway."""

LARGEST_TOKEN: Final = 16 * 1024
"""Characters. Longer ones are refused unread; Entra's own stay below 8 KiB."""

FABRIC: Final = "https://api.fabric.microsoft.com"
AUDIENCES: Final = frozenset(
    {
        FABRIC,
        "https://analysis.windows.net/powerbi/api",
        "00000009-0000-0000-c000-000000000000",
    }
)
"""The names of the one resource that Fabric's clients request tokens for (Fabric contract 8.1)."""


class Scope(StrEnum):
    """The scopes that a user may grant an application, by short names (Fabric contract 8.2)."""

    LAKEHOUSE_EXECUTE = "Lakehouse.Execute.All"
    LAKEHOUSE_READ = "Lakehouse.Read.All"
    CODE_FABRIC = "Code.AccessFabric.All"
    CODE_STORAGE = "Code.AccessStorage.All"
    CODE_KEY_VAULT = "Code.AccessAzureKeyvault.All"
    CODE_DATA_LAKE = "Code.AccessAzureDataLake.All"
    CODE_DATA_EXPLORER = "Code.AccessAzureDataExplorer.All"
    CODE_SQL = "Code.AccessSQL.All"


def moment(number: object) -> datetime | None:
    """Return a NumericDate as a moment, or None if the value isn't one."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    try:
        return datetime.fromtimestamp(number, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def words(value: object) -> frozenset[str]:
    """Return the words of a claim that is a list of words, or a text with spaces between them."""
    parts = value.split() if isinstance(value, str) else value
    if not isinstance(parts, list):
        return frozenset()
    return frozenset(part for part in parts if isinstance(part, str))
