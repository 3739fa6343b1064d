"""On-behalf-of: the tokens that came with callers' requests, and the tokens obtained for them.

All of them are in memory only. The code of every session can read the data folder, and a key beside
encrypted tokens would protect nothing; so a restart of the gateway loses them, and the next
statement's token replaces the lost one (decision 14). A caller's token is stored until it expires.
Shortly before, it is exchanged for a refresh token if no exchange has returned one yet. From then
on the refresh token is used, and each response may bring a newer one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import jwt
import structlog

from livius.adapters.identity.provider_client import ProviderClient, Refused
from livius.domain.endpoints import JWT_BEARER
from livius.domain.errors import LiviusError
from livius.domain.ids import SessionId
from livius.domain.oidc_provider import Provider, audiences_in, opens_fabric
from livius.domain.principal import Principal
from livius.domain.resources import AUDIENCE_OF, RESOURCES
from livius.domain.tokens import moment
from livius.ports.clock import Clock

EARLY: Final = timedelta(minutes=5)
"""A token that expires sooner is not returned any more; a caller's is exchanged at once."""

_LOOK_EVERY: Final = timedelta(seconds=60)
_LIVES: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Handed:
    """An access token and its expiry."""

    text: str = field(repr=False)
    ends: datetime

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether the token may still be returned."""
        return now + EARLY < self.ends


@dataclass(slots=True, kw_only=True)
class Delegation:
    """The tokens of one session: the caller's, then a refresh token.

    ``exchangeable`` is False for a token issued for Fabric itself, which only Fabric could
    exchange. ``over``: the provider accepts neither any more. ``tried``: it was asked for a refresh
    token and returned none.
    """

    caller: Principal
    assertion: str = field(repr=False)
    ends: datetime
    exchangeable: bool
    refresh_token: str | None = field(default=None, repr=False)
    over: bool = False
    tried: bool = False
    handed: dict[str, Handed] = field(default_factory=dict)
    # One at a time: a provider may take a second use of a refresh token for a theft.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_good(self, now: datetime) -> bool:
        """Tell whether there is still a token to exchange."""
        return not self.over and (self.refresh_token is not None or now < self.ends)


class Delegations:
    """The delegations of all live sessions.

    For the event loop's thread only. ``token_principal`` returns the present token principal of a
    session, or None.
    """

    def __init__(
        self,
        provider: Provider,
        client: ProviderClient,
        clock: Clock,
        token_principal: Callable[[SessionId], Awaitable[Principal | None]],
    ) -> None:
        self._provider = provider
        self._client = client
        self._clock = clock
        self._acts_for = token_principal
        self._held: dict[SessionId, Delegation] = {}

    def offer(self, session: SessionId, caller: Principal, token: str) -> None:
        """Store the caller's verified token, unless the session already has a valid one.

        The first one stays: its code must gain nothing from a later, stronger token.
        """
        held = self._held.get(session)
        if held is not None and held.is_good(self._clock.now()):
            return
        claims = jwt.decode(token, options={"verify_signature": False})
        self._held[session] = Delegation(
            caller=caller,
            assertion=token,
            ends=moment(claims.get("exp")) or self._clock.now(),
            exchangeable=not opens_fabric(audiences_in(claims)),
        )

    def of(self, session: SessionId, principal: Principal) -> Delegation | None:
        """Return a session's delegation of a principal, if it is valid."""
        held = self._held.get(session)
        if held is None or not held.is_good(self._clock.now()):
            return None
        same = (held.caller.issuer, held.caller.oid) == (principal.issuer, principal.oid)
        return held if same else None

    async def token(self, held: Delegation, audience: str) -> str:
        """Return the user's token for an audience, from the cache while it is fresh.

        Raises:
            Refused: the provider refuses. Unavailable: the provider does not answer.
        """
        async with held.turn:
            now = self._clock.now()
            known = held.handed.get(audience)
            if known is not None and known.is_fresh(now):
                return known.text
            answer = await self._exchange(held, audience, now)
            made = handed(answer, now)
            held.handed[audience] = made
            if isinstance(answer.get("refresh_token"), str):
                held.refresh_token = answer["refresh_token"]
            return made.text

    async def run(self) -> None:
        """Exchange tokens before they expire, and drop those of ended sessions, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY.total_seconds())
            await self.look()

    async def look(self) -> None:
        """Do it once."""
        for session, held in list(self._held.items()):
            now = self._clock.now()
            principal = await self._acts_for(session)
            if principal is None:
                self._held.pop(session, None)
            elif (
                held.exchangeable
                and held.refresh_token is None
                and not held.tried
                and held.is_good(now)
                and held.ends <= now + 2 * EARLY
            ):
                await self._exchange_early(session, held, principal)

    async def _exchange_early(
        self, session: SessionId, held: Delegation, principal: Principal
    ) -> None:
        """Get a refresh token with the first audience that the scopes open. It serves all."""
        for resource in (one for one in RESOURCES if one.opened_by in principal.scopes):
            try:
                await self.token(held, AUDIENCE_OF[resource.name])
            except Refused as refused:
                _log.info("delegation_not_exchanged", session=session, reason=str(refused))
            except LiviusError:
                return  # the provider is away: the next round tries again
            if held.refresh_token is not None:
                return
        held.tried = True

    async def _exchange(self, held: Delegation, audience: str, now: datetime) -> Mapping[str, Any]:
        asked = asked_for(self._provider, audience)
        scope = " ".join((*asked.get("scope", "").split(), "offline_access"))
        by_refresh = held.refresh_token is not None and now + EARLY >= held.ends
        if not by_refresh:
            form = {
                "grant_type": JWT_BEARER,
                "requested_token_use": "on_behalf_of",
                "assertion": held.assertion,
            }
        else:
            form = {"grant_type": "refresh_token", "refresh_token": held.refresh_token or ""}
        try:
            return await self._client.ask({**asked, **form, "scope": scope})
        except Refused as refused:
            # The refresh token is invalid; other errors may pass.
            if by_refresh and refused.error == "invalid_grant" and not refused.suberror:
                held.over = True
            raise


def asked_for(provider: Provider, audience: str) -> dict[str, str]:
    """Return the request's parameters for an audience: Entra's scope, or RFC 8707's resource."""
    if provider.tenant is not None:
        return {"scope": f"{audience}/.default"}
    return {"resource": audience}


def handed(answer: Mapping[str, Any], now: datetime) -> Handed:
    """Return the access token of a response."""
    lives = answer.get("expires_in")
    seconds = float(lives) if isinstance(lives, int | float | str) and _is_number(lives) else 0.0
    return Handed(
        str(answer["access_token"]),
        now + (timedelta(seconds=min(seconds, 86_400.0)) if seconds > 0 else _LIVES),
    )


def _is_number(value: float | str) -> bool:
    return not isinstance(value, bool) and str(value).replace(".", "", 1).isdecimal()
