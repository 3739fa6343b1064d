"""A cache of verified tokens, so that no signature is checked twice."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from livius.domain.errors import Unauthenticated
from livius.domain.principal import Principal
from livius.ports.clock import Clock

REMEMBERED: Final = 4096

SIGNATURE_ONLY: Final[Any] = {
    "verify_signature": True,
    **dict.fromkeys(
        (f"verify_{name}" for name in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")), False
    ),
}
"""For PyJWT: our own rules check the claims."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The principal of a token, the key that signed it, and its expiry."""

    principal: Principal
    kid: str
    ends: datetime


class VerifiedTokenCache:
    """Stores hashes of tokens, never tokens, until they expire or their key is gone.

    Bounded: the least recently used entry is dropped. For the event loop's thread only.
    """

    def __init__(
        self, clock: Clock, is_key: Callable[[str], bool], *, remembered: int = REMEMBERED
    ) -> None:
        self._clock = clock
        self._is_key = is_key
        self._remembered = remembered
        self._seen: OrderedDict[bytes, Seen] = OrderedDict()

    def recall(self, token: str) -> Principal | None:
        """Return the principal of a token that was verified before.

        Raises:
            Unauthenticated: it has expired meanwhile.
        """
        name = _name(token)
        seen = self._seen.get(name)
        if seen is None or not self._is_key(seen.kid):
            return None
        if self._clock.now() >= seen.ends:
            del self._seen[name]
            raise Unauthenticated("TokenExpired", "The access token has expired. Get a new one.")
        self._seen.move_to_end(name)
        return seen.principal

    def remember(self, token: str, seen: Seen) -> None:
        """Store the result of a verification."""
        self._seen[_name(token)] = seen
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)


def _name(token: str) -> bytes:
    return hashlib.sha256(token.encode("ascii")).digest()
