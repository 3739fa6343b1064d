"""Requests that may be repeated: the key that a caller gives to one, and what a second one finds.

The semantics are those of the IETF draft "The Idempotency-Key HTTP Header Field".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from livius.domain.errors import Invalid
from livius.domain.ids import PrincipalId

LONGEST_KEY: Final = 255
"""Characters of a key."""
VALID_FOR: Final = timedelta(hours=24)
"""How long a key is remembered at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A caller's key for one request. ``fingerprint`` differs between different requests."""

    principal: PrincipalId
    key: str
    fingerprint: str
    at: datetime


class KeyReused(Invalid):
    """The key belongs to an earlier, different request."""


class MadeBefore(Exception):
    """An earlier request with this key made ``resource``, so nothing was made now."""

    def __init__(self, resource: str) -> None:
        super().__init__(resource)
        self.resource = resource
