"""Sign-in of people at an authority: the authorization code flow with PKCE (RFC 7636)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """The tokens for a code. ``oid`` is the person's, from the verified ID token."""

    access_token: str = field(repr=False)
    oid: str
    id_token: str = field(repr=False, default="")


class LoginProvider(Protocol):
    """An authority as a web application uses it. It requests the scopes that the API needs."""

    async def sign_in_url(
        self, *, redirect_uri: str, state: str, nonce: str, challenge: str
    ) -> str:
        """Return the URL to send a browser to.

        ``challenge`` is the S256 challenge of a secret verifier.
        """
        ...

    def sign_out_url(self, *, redirect_uri: str, id_token: str = "") -> str | None:
        """Return the URL at which a browser signs out of the authority, if there is one.

        With the ID token of the sign-in the authority need not ask once more.
        """
        ...

    async def redeem(
        self, *, code: str, redirect_uri: str, verifier: str, nonce: str, issuer: str | None
    ) -> SignedIn:
        """Exchange a code for tokens. ``issuer`` is the one in the redirect, if there is one."""
        ...


class LinkSignIn(Protocol):
    """Sign-in by a link that the operator has made."""

    async def redeem(self, secret: str) -> str:
        """Return an access token of the link's user. The link is valid once.

        Raises:
            Unauthenticated: the link was used, has expired, or its user was removed.
        """
        ...
