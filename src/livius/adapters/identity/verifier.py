"""Verifies access tokens of the embedded authority.

The signature comes first, then the claims: so only the holder of a genuine token learns its fault,
and every other caller gets the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jwt

from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.token_cache import REMEMBERED, Seen, VerifiedTokenCache
from livius.domain.errors import Unauthenticated
from livius.domain.ids import ClientId
from livius.domain.oidc_provider import check_id_token
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.realm import Realm
from livius.domain.tokens import AUDIENCES, CLOCK_SKEW, FABRIC, LARGEST_TOKEN, moment, words
from livius.ports.clock import Clock
from livius.ports.identity import Present


class EmbeddedVerifier:
    """Implements `livius.ports.identity.TokenVerifier` for tokens that `KeyRing` signed.

    ``resource`` is the required audience. ``present`` refuses tokens whose principal was removed.
    Hashes of verified tokens, never tokens, are cached until they expire or their key is retired.
    For the event loop's thread only.
    """

    def __init__(
        self,
        keys: KeyRing,
        realm: Realm,
        clock: Clock,
        *,
        present: Present,
        resource: str = FABRIC,
        remembered: int = REMEMBERED,
    ) -> None:
        self._keys = keys
        self._realm = realm
        self._clock = clock
        self._present = present
        self._resource = resource
        self._seen = VerifiedTokenCache(
            clock, lambda kid: keys.public_key(kid) is not None, remembered=remembered
        )

    async def bearer_of(self, token: str) -> Principal:
        """See the port."""
        principal = self.verify(token)
        await self._present(principal)
        return principal

    def verify(self, token: str) -> Principal:
        """Return the principal of a token, even if it was removed."""
        if not token or len(token) > LARGEST_TOKEN or not token.isascii():
            raise _not_ours()
        seen = self._seen.recall(token)
        if seen is not None:
            return seen
        kid, claims = _signed_claims(self._keys, token)
        principal, ends = read_claims(claims, self._realm, self._clock.now(), self._resource)
        self._seen.remember(token, Seen(principal, kid, ends))
        return principal

    async def person_of(self, id_token: str, *, client_id: str, nonce: str) -> str:
        """See `livius.adapters.identity.oidc_login.IdTokens`."""
        claims = self._keys.read(id_token) if len(id_token) <= LARGEST_TOKEN else None
        if claims is None or not self._realm.is_issuer(str(claims.get("iss"))):
            raise _not_ours()
        check_id_token(claims, self._clock.now(), client_id=client_id, nonce=nonce)
        return str(claims.get("oid")).lower()


def _signed_claims(keys: KeyRing, token: str) -> tuple[str, Mapping[str, Any]]:
    """Return the key's id and the claims of a token that one of our keys signed."""
    claims = keys.read(token)
    if claims is None:
        raise _not_ours()
    return str(jwt.get_unverified_header(token)["kid"]), claims


def read_claims(
    claims: Mapping[str, Any], realm: Realm, now: datetime, resource: str = FABRIC
) -> tuple[Principal, datetime]:
    """Return the principal in verified claims, and when the claims expire.

    Raises:
        Unauthenticated: they are for another audience or another time.
    """
    required = {name: claims.get(name) for name in ("iss", "aud", "sub", "oid", "tid")}
    if not all(isinstance(value, str) and value for value in required.values()):
        raise _invalid("The access token lacks claims that it needs.")
    text: dict[str, str] = {name: str(value) for name, value in required.items()}
    if text["tid"].lower() != realm.tenant:
        raise _invalid("The access token was issued for another tenant.")
    if not realm.is_issuer(text["iss"]):
        raise _invalid("The access token was issued by an authority that is not trusted here.")
    accepted = AUDIENCES if resource == FABRIC else {resource}
    if text["aud"].removesuffix("/").lower() not in accepted:
        raise _invalid(
            f"The access token is for another resource. Ask for the scope {resource}/.default."
        )
    ends = _check_times(claims, now)
    scopes, roles = words(claims.get("scp")), words(claims.get("roles"))
    # The claim must say so; a missing one is no proof: a token without scopes would have all
    # rights.
    is_app = claims.get("idtyp") == "app"
    client = claims.get("azp") or claims.get("appid")
    names = ("app_displayname",) if is_app else ("preferred_username", "upn", "name")
    return (
        Principal(
            tenant=realm.tenant,
            oid=text["oid"].lower(),
            kind=PrincipalKind.APP if is_app else PrincipalKind.USER,
            name=next((str(claims[name]) for name in names if claims.get(name)), text["oid"]),
            client_id=ClientId(client.lower()) if isinstance(client, str) else None,
            # An application's own token carries no scopes, whatever it says.
            scopes=frozenset() if is_app else scopes,
            roles=roles,
            issuer=realm.name,
            subject=text["sub"],
        ),
        ends,
    )


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    ends = moment(claims.get("exp"))
    begins = [moment(claims.get(name)) for name in ("iat", "nbf")]
    if ends is None or None in begins:
        raise _invalid("The access token lacks claims that it needs.")
    ends += CLOCK_SKEW
    if now >= ends:
        raise _expired()
    if any(one is not None and one > now + CLOCK_SKEW for one in begins):
        raise _invalid("The access token is not valid yet. Check the clocks.")
    return ends


def _not_ours() -> Unauthenticated:
    return _invalid("The access token is not one that this server's authority issued.")


def _invalid(message: str) -> Unauthenticated:
    return Unauthenticated("InvalidToken", message)


def _expired() -> Unauthenticated:
    return Unauthenticated("TokenExpired", "The access token has expired. Get a new one.")
