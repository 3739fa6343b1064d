"""Tokens for sessions, from an external authority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from livius.adapters.identity.delegations import (
    Delegations,
    Handed,
    asked_for,
    handed,
)
from livius.adapters.identity.provider_client import ProviderClient, Refused
from livius.domain.errors import Forbidden, LiviusError, Unavailable
from livius.domain.ids import SessionId
from livius.domain.oidc_provider import Provider, audiences_in
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.resources import Resource, missing_scope, opened_resource
from livius.ports.clock import Clock

_CREDENTIAL: Final = (
    "LIVIUS_AUTHORITY_CLIENT_ID with LIVIUS_AUTHORITY_CLIENT_SECRET_FILE or "
    "LIVIUS_AUTHORITY_CLIENT_CERTIFICATE_FILE"
)
_SIGN_IN: Final = frozenset({"interaction_required", "login_required"})
_OURS: Final = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnApplication:
    """Livius's own application at an external authority, with its credential.

    ``audiences`` are the short names of the audiences for which session code gets the application's
    own tokens if the caller's can't be exchanged.
    """

    client: ProviderClient
    delegations: Delegations
    audiences: frozenset[str]


class ProviderSessionTokens:
    """Implements `livius.ports.identity.SessionTokens` with an external authority.

    A user's token for Livius's own application is exchanged there, on behalf of the user. Otherwise
    code gets the application's own tokens, if the operator allows it.
    """

    def __init__(self, provider: Provider, clock: Clock, own: OwnApplication | None = None) -> None:
        self._provider = provider
        self._clock = clock
        self._own = own
        self._handed: dict[str, Handed] = {}

    def offer(self, session: SessionId, caller: Principal, token: str) -> None:
        """See the port."""
        is_authoritys = caller.client_id is not None  # not a personal access token
        if self._own is not None and caller.kind is PrincipalKind.USER and is_authoritys:
            self._own.delegations.offer(session, caller, token)

    async def issue(self, session: SessionId, principal: Principal, audience: str) -> str:
        """See the port."""
        resource, plain = opened_resource(audience)
        is_app = principal.kind is PrincipalKind.APP
        if not is_app and resource.opened_by not in principal.scopes:
            raise missing_scope("The session's token", resource)
        own = self._own
        if own is None:
            raise Unavailable(
                "TokensNotConfigured",
                f"This server takes its tokens from {self._provider.issuer} and has no credential "
                f"there to get others with. Its operator sets {_CREDENTIAL}.",
            )
        try:
            if not is_app and (await own.client.endpoints()).on_behalf_of:
                held = own.delegations.of(session, principal)
                if held is None:
                    raise _lost()
                if held.exchangeable:
                    made = await own.delegations.token(held, plain)
                    return self._checked(made, plain)
                why = (
                    "The session was created with a token that was made out to Fabric itself, "
                    "which nobody else can exchange. Ask for tokens made out to this server's own "
                    "application, or"
                )
            elif is_app:
                why = "An application's token can't be exchanged, so"
            else:
                why = f"The authority {self._provider.issuer} exchanges no tokens, so"
            if resource.name not in own.audiences:
                raise _not_allowed(why, resource)
            return self._checked(await self._application_token(own.client, plain), plain)
        except Refused as refused:
            raise explained(refused, resource, own.client.credential.client_id) from refused

    async def _application_token(self, client: ProviderClient, audience: str) -> str:
        now = self._clock.now()
        known = self._handed.get(audience)
        if known is None or not known.is_fresh(now):
            form = {**asked_for(self._provider, audience), "grant_type": "client_credentials"}
            known = self._handed[audience] = handed(await client.ask(form), now)
        return known.text

    def _checked(self, token: str, audience: str) -> str:
        """Refuse a token for this server if another audience was requested.

        A provider that ignores scope and resource issues all tokens for one audience.
        """
        ours = self._provider.audiences
        if audience not in ours and not audiences_in(_claims(token)).isdisjoint(ours):
            raise Unavailable(
                "TokenForAnother",
                f"The authority {self._provider.issuer} made the token out to this server instead "
                f"of {audience}. Have its operator make {audience} known there as a resource.",
            )
        return token


def explained(refused: Refused, resource: Resource, client_id: str) -> LiviusError:
    """Return the error that a provider's refusal means for session code."""
    said = f" The authority says: {refused.said}" if refused.said else ""
    if "consent_required" in (refused.error, refused.suberror) or "AADSTS65001" in refused.said:
        return Forbidden(
            "ConsentMissing",
            f"Nobody has consented that this server's application ({client_id}) gets tokens for "
            f"{resource.name} on behalf of the user. Add the permission to its registration and "
            f"grant it there.{said}",
        )
    if refused.error in _SIGN_IN or refused.claims:
        wants = f" It asks for the claims {refused.claims[:500]}." if refused.claims else ""
        return Forbidden(
            "InteractionRequired",
            f"The authority wants the user to sign in again before there is a token for "
            f"{resource.name}. Sign in anew in the program that created the session, with these "
            f"claims if some are named, and create a new session.{wants}{said}",
        )
    if refused.error in _OURS:
        return Unavailable(
            "AuthorityRefusesServer",
            f"The authority does not take this server's credential, or not for this. Its operator "
            f"looks at {_CREDENTIAL}.{said}",
        )
    return Forbidden(
        "TokenRefused",
        f"The authority gives no token for {resource.name} ({refused.error or 'no reason'}).{said}",
    )


def _lost() -> Unavailable:
    return Unavailable(
        "DelegationLost",
        "The gateway has no token of the session's submitter that could be exchanged: it was "
        "restarted since, or the authority ended what it gave. It keeps such tokens in memory "
        "only. Send a statement with a fresh token, then ask again.",
    )


def _not_allowed(why: str, resource: Resource) -> Forbidden:
    return Forbidden(
        "TokensNotConfigured",
        f"{why} this server's operator lets session code have the server's own tokens for "
        f"{resource.name}: LIVIUS_AUTHORITY_APPLICATION_AUDIENCES={resource.name}.",
    )


def _claims(token: str) -> Mapping[str, Any]:
    """Return the unverified claims of a token; none of an opaque one."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}
    return claims
