"""Having people sign in at an authority: the authorization code flow with PKCE (RFC 7636)."""

from __future__ import annotations

from typing import Protocol


class PeoplesAuthority(Protocol):
    """An authority as a web application meets it. It is asked for what the API needs."""

    def sign_in_url(self, *, redirect_uri: str, state: str, challenge: str) -> str:
        """Return where to send a browser. ``challenge`` is the S256 one of a secret verifier."""
        ...

    def sign_out_url(self, *, redirect_uri: str) -> str | None:
        """Return where to send a browser to sign out of the authority; None: nowhere."""
        ...

    async def redeem(self, *, code: str, redirect_uri: str, verifier: str) -> str:
        """Return the access token that a code stands for.

        Raises:
            Unauthenticated: the code is not good, not any more, or not with this verifier.
            Unavailable: the authority does not answer.
        """
        ...
