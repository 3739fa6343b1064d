"""Personal access tokens: create, list, revoke and verify them."""

from __future__ import annotations

from datetime import timedelta

from livius.domain.audit import Action
from livius.domain.digests import hash_drawn
from livius.domain.errors import Unauthenticated
from livius.domain.ids import PrincipalId, new_id
from livius.domain.personal_token import (
    PersonalToken,
    check_new,
    is_personal,
    new_secret,
)
from livius.domain.principal import Principal
from livius.ports.clock import Clock
from livius.ports.identity import Present, TokenVerifier
from livius.ports.store import PersonalTokens
from livius.usecases.audit_throttle import act


async def create_token(
    store: PersonalTokens,
    clock: Clock,
    owner: Principal,
    *,
    name: str,
    scopes: tuple[str, ...],
    life: timedelta,
) -> tuple[PersonalToken, str]:
    """Create a token for a principal. Its text is returned here and never again.

    Raises:
        Invalid: an unknown scope, or too long a life.
    """
    check_new(name, scopes, life)
    secret = new_secret()
    now = clock.now()
    made = PersonalToken(
        id=new_id(),
        digest=hash_drawn(secret),
        name=name,
        principal=PrincipalId(owner.oid),
        principal_name=owner.name,
        tenant=owner.tenant,
        issuer=owner.issuer,
        subject=owner.subject,
        scopes=tuple(dict.fromkeys(scopes)),
        created_at=now,
        expires_at=now + life,
    )
    entry = act(
        clock,
        Action.PERSONAL_TOKEN_CREATE,
        made.id,
        detail=f"for {owner.name} ({owner.oid}), {life}: {' '.join(made.scopes)}",
    )
    await store.add_personal_token(made, audit=entry)
    return made, secret


class BearerVerifier:
    """Implements `livius.ports.identity.TokenVerifier` for both kinds of tokens.

    Each use of a personal token is a query of the store, so that a revoked one is refused at once.
    The other verifier checks tokens that the authority signed. ``present`` refuses those whose
    principal was removed.
    """

    def __init__(
        self, signed: TokenVerifier, store: PersonalTokens, clock: Clock, *, present: Present
    ) -> None:
        self._signed = signed
        self._present = present
        self._store = store
        self._clock = clock

    async def bearer_of(self, token: str) -> Principal:
        """See the port."""
        if not is_personal(token):
            return await self._signed.bearer_of(token)
        found = await self._store.personal_token(hash_drawn(token))
        if found is None:
            raise Unauthenticated(
                "InvalidToken", "The personal access token is unknown here, or was revoked."
            )
        if found.expires_at <= self._clock.now():
            raise Unauthenticated(
                "TokenExpired",
                "The personal access token has expired. Make a new one: livius token create",
            )
        bearer = found.bearer()
        await self._present(bearer)
        return bearer
