"""Verifies access tokens of an external identity provider."""

from __future__ import annotations

from typing import Any, Final

import jwt

from livius.adapters.identity.provider_keys import ProviderKeys
from livius.adapters.identity.token_cache import SIGNATURE_ONLY, Seen, VerifiedTokenCache
from livius.domain.errors import Unauthenticated
from livius.domain.oidc_provider import Provider, read_claims, read_id_token
from livius.domain.principal import Principal
from livius.domain.tokens import LARGEST_TOKEN
from livius.ports.clock import Clock

_TYPES: Final = ("jwt", "at+jwt", "application/at+jwt")


class ExternalVerifier:
    """Implements `livius.ports.identity.TokenVerifier` for tokens of a provider.

    A token's header may choose among the provider's keys, and nothing else: no algorithm, no key of
    its own, no address to fetch one from.
    """

    def __init__(self, provider: Provider, keys: ProviderKeys, clock: Clock) -> None:
        self._provider = provider
        self._keys = keys
        self._clock = clock
        self._seen = VerifiedTokenCache(clock, lambda kid: keys.known(kid) is not None)

    async def bearer_of(self, token: str) -> Principal:
        """See the port.

        Raises:
            Unauthenticated: the token does not count.
            Unavailable: the provider's keys can't be had.
        """
        if not token or len(token) > LARGEST_TOKEN or not token.isascii():
            raise _not_theirs()
        seen = self._seen.recall(token)
        if seen is not None:
            return seen
        kid, claims = await self._signed(token)
        principal, ends = read_claims(claims, self._provider, self._clock.now())
        self._seen.remember(token, Seen(principal, kid, ends))
        return principal

    async def person_of(self, id_token: str, *, client_id: str, nonce: str) -> str:
        """See `livius.adapters.identity.oidc_login.IdTokens`."""
        if not id_token or len(id_token) > LARGEST_TOKEN or not id_token.isascii():
            raise _not_theirs()
        _, claims = await self._signed(id_token)
        return read_id_token(
            claims, self._provider, self._clock.now(), client_id=client_id, nonce=nonce
        )

    async def _signed(self, token: str) -> tuple[str, dict[str, Any]]:
        """Return the name of the provider's key that signed a token, and the claims."""
        kid, algorithm = _header(token)
        key = await self._keys.key(kid)
        if key is None or algorithm not in key.algorithms:
            raise _not_theirs()
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key=key.key, algorithms=[algorithm], options=SIGNATURE_ONLY
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _not_theirs() from None
        return kid, claims


def _header(token: str) -> tuple[str, str]:
    """Return the names of key and algorithm; refuse a header with further demands."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _not_theirs() from None
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ", "JWT")
    if (
        not isinstance(kid, str)
        or not isinstance(algorithm, str)
        or not isinstance(kind, str)
        or kind.lower() not in _TYPES
        or "crit" in header
    ):
        raise _not_theirs()
    return kid, algorithm


def _not_theirs() -> Unauthenticated:
    return Unauthenticated(
        "InvalidToken", "The access token is not one that this server's authority issued."
    )
