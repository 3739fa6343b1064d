"""The authorization code flow over HTTP, for a web application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

from livius.adapters.identity.provider_client import ProviderClient, Refused
from livius.domain.endpoints import Endpoints
from livius.domain.errors import Unauthenticated, Unavailable
from livius.domain.messages import Message
from livius.ports.login_provider import SignedIn

_OURS: Final = frozenset({"invalid_client", "unauthorized_client"})


class IdTokens(Protocol):
    """A verifier of ID tokens."""

    async def person_of(self, id_token: str, *, client_id: str, nonce: str) -> str:
        """Return the object id of the user that an ID token names.

        Raises:
            Unauthenticated: it is not valid, is for another client, or has another nonce.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcLogin:
    """Implements `livius.ports.login_provider.LoginProvider` for a client application.

    ``known`` returns the authority's endpoints as far as they are cached. ``scope`` has the API's
    scopes; OpenID's are added. ``issuer`` is the expected issuer of the redirect, if the authority
    may send it (RFC 9207).
    """

    client: ProviderClient
    known: Callable[[], Endpoints]
    id_tokens: IdTokens
    scope: str
    issuer: str | None = None

    @property
    def _scope(self) -> str:
        return " ".join(dict.fromkeys(["openid", "profile", *self.scope.split()]))

    async def sign_in_url(
        self, *, redirect_uri: str, state: str, nonce: str, challenge: str
    ) -> str:
        """See the port."""
        where = (await self.client.endpoints()).authorize
        if where is None:
            raise Unavailable(
                "AuthorityUnavailable",
                Message("The authority publishes no page to sign in at that can be used."),
            )
        return _with(
            where,
            {
                "client_id": self.client.credential.client_id,
                "response_type": "code",
                "response_mode": "query",
                "redirect_uri": redirect_uri,
                "scope": self._scope,
                "state": state,
                "nonce": nonce,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            },
        )

    def sign_out_url(self, *, redirect_uri: str, id_token: str = "") -> str | None:
        """See the port."""
        where = self.known().sign_out
        if where is None:
            return None
        client_id = self.client.credential.client_id
        hint = {"id_token_hint": id_token} if id_token else {}
        return _with(
            where, {"client_id": client_id, "post_logout_redirect_uri": redirect_uri, **hint}
        )

    async def redeem(
        self, *, code: str, redirect_uri: str, verifier: str, nonce: str, issuer: str | None
    ) -> SignedIn:
        """See the port."""
        if self.issuer is not None and issuer not in (None, self.issuer):
            raise Unauthenticated(
                "SignInFailed", Message("The sign-in was answered by another authority.")
            )
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "scope": self._scope,
        }
        try:
            answer = await self.client.ask(form)
        except Refused as refused:
            if refused.error in _OURS:
                raise Unavailable(
                    "AuthorityRefusesServer",
                    Message(
                        "The authority does not accept this server's credential. The operator "
                        "checks LIVIUS_AUTHORITY_CLIENT_ID and the settings that belong to it. "
                        "%(said)s",
                        said=refused.said,
                    ),
                ) from refused
            # The description names the fault, never the code.
            raise Unauthenticated(
                "SignInFailed",
                Message(
                    "The authority did not accept the sign-in. Sign in again. %(said)s",
                    said=refused.said,
                ),
            ) from refused
        id_token: Any = answer.get("id_token")
        if not isinstance(id_token, str):
            raise Unauthenticated(
                "SignInFailed",
                Message("The authority did not identify the user: it returned no ID token."),
            )
        oid = await self.id_tokens.person_of(
            id_token, client_id=self.client.credential.client_id, nonce=nonce
        )
        return SignedIn(access_token=str(answer["access_token"]), oid=oid, id_token=id_token)


@dataclass(frozen=True, slots=True)
class NobodySignsIn:
    """Implements the same port where the operator has not configured the sign-in."""

    missing: tuple[str, ...]

    async def sign_in_url(
        self, *, redirect_uri: str, state: str, nonce: str, challenge: str
    ) -> str:
        """See the port."""
        del redirect_uri, state, nonce, challenge
        raise self._not_configured()

    def sign_out_url(self, *, redirect_uri: str, id_token: str = "") -> str | None:
        """See the port."""
        del redirect_uri, id_token
        return None

    async def redeem(
        self, *, code: str, redirect_uri: str, verifier: str, nonce: str, issuer: str | None
    ) -> SignedIn:
        """See the port."""
        del code, redirect_uri, verifier, nonce, issuer
        raise self._not_configured()

    def _not_configured(self) -> Unavailable:
        return Unavailable(
            "PortalNotConfigured",
            Message(
                "Nobody can sign in here yet: this server's operator has chosen another authority "
                "but not configured the sign-in there. Missing: %(missing)s.",
                missing=", ".join(self.missing),
            ),
        )


def _with(url: str, asked: dict[str, str]) -> str:
    """Return a URL with parameters added to its query."""
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(asked)}"
