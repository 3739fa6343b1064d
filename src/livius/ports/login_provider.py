"""Having people sign in at an authority: the authorization code flow with PKCE (RFC 7636)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What a code stood for. ``oid`` is the person's, by the ID token, which has been verified."""

    access_token: str = field(repr=False)
    oid: str


class LoginProvider(Protocol):
    """An authority as a web application meets it. It is asked for what the API needs."""

    async def sign_in_url(
        self, *, redirect_uri: str, state: str, nonce: str, challenge: str
    ) -> str:
        """Return where to send a browser. ``challenge`` is the S256 one of a secret verifier.

        Raises:
            Unavailable: nobody can sign in there now; the message says why.
        """
        ...

    def sign_out_url(self, *, redirect_uri: str) -> str | None:
        """Return where to send a browser to sign out of the authority; None: nowhere."""
        ...

    async def redeem(
        self, *, code: str, redirect_uri: str, verifier: str, nonce: str, issuer: str | None
    ) -> SignedIn:
        """Return what a code stands for. ``issuer`` is who gave it, where the answer says so.

        Raises:
            Unauthenticated: the code is not good, not any more, not with this verifier, or what it
                stood for is of another sign-in.
            Unavailable: the authority does not answer, or does not take our credential.
        """
        ...


class LinkSignIn(Protocol):
    """Signing in by a link that the operator has made."""

    async def redeem(self, secret: str) -> str:
        """Return an access token of the user whom the link is for. It counts once.

        Raises:
            Unauthenticated: the link was used, has expired, or its user was removed.
        """
        ...
