"""Tokens of the embedded authority for sessions."""

from __future__ import annotations

from livius.domain.errors import Unavailable
from livius.domain.identity import Principal, PrincipalKind
from livius.usecases.identity.authority import Authority
from livius.usecases.identity.session_tokens import (
    issue_for_session,
    missing_scope,
    opened_resource,
)


class EmbeddedSessionTokens:
    """Implements `livius.ports.identity.SessionTokens`."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    async def issue(self, principal: Principal, audience: str) -> str:
        """See the port."""
        issued = await issue_for_session(self._authority, principal, audience)
        return issued.access_token


class ProviderSessionTokens:
    """Implements `livius.ports.identity.SessionTokens` where another authority issues the tokens.

    It asks that authority for none: the caller's own token is for us, and no credential of ours is
    configured that it would exchange it for.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    async def issue(self, principal: Principal, audience: str) -> str:
        """See the port; it always refuses, first of all what no scope allows."""
        resource, _ = opened_resource(audience)
        if principal.kind is PrincipalKind.USER and resource.opened_by not in principal.scopes:
            raise missing_scope("The session's token", resource)
        raise Unavailable(
            "TokensNotAvailable",
            f"This server takes its tokens from {self._issuer} and can't ask it for others, so "
            "session code gets none here. Sign in within the code, with azure-identity or MSAL.",
        )
