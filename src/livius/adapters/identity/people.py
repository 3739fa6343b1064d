"""The authorization code flow over HTTP, as any web application speaks it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import httpx
import structlog

from livius.domain.errors import Unauthenticated, Unavailable
from livius.domain.identity import FABRIC

_WITHIN: Final = 20.0
_LARGEST: Final = 256 * 1024

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPeoplesAuthority:
    """Implements `livius.ports.people.PeoplesAuthority` for a public client application.

    The three addresses are the authority's endpoints; without ``sign_out`` only our own visit
    ends. ``ca_file`` is what ``token`` is trusted by, None for what the system trusts.
    """

    authorize: str
    token: str
    sign_out: str | None
    client_id: str
    ca_file: Path | None
    scope: str = f"openid profile {FABRIC}/.default"

    @classmethod
    def embedded(
        cls, *, pages: str, tokens: str, client_id: str, ca_file: Path
    ) -> HttpPeoplesAuthority:
        """Return the embedded authority: people see it over http on loopback, we over https."""
        return cls(
            authorize=f"{pages}/oauth2/v2.0/authorize",
            token=f"{tokens}/oauth2/v2.0/token",
            sign_out=f"{pages}/oauth2/v2.0/logout",
            client_id=client_id,
            ca_file=ca_file,
        )

    def sign_in_url(self, *, redirect_uri: str, state: str, challenge: str) -> str:
        """See the port."""
        asked = {
            "client_id": self.client_id,
            "response_type": "code",
            "response_mode": "query",
            "redirect_uri": redirect_uri,
            "scope": self.scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self.authorize}?{urlencode(asked)}"

    def sign_out_url(self, *, redirect_uri: str) -> str | None:
        """See the port."""
        asked = {"client_id": self.client_id, "post_logout_redirect_uri": redirect_uri}
        return f"{self.sign_out}?{urlencode(asked)}" if self.sign_out else None

    async def redeem(self, *, code: str, redirect_uri: str, verifier: str) -> str:
        """See the port."""
        form = {
            "client_id": self.client_id,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "scope": self.scope,
        }
        trusted = ssl.create_default_context(cafile=self.ca_file)
        try:
            async with httpx.AsyncClient(
                verify=trusted, trust_env=self.ca_file is None, timeout=_WITHIN
            ) as client:
                answer = await client.post(self.token, data=form)
            body = answer.json() if len(answer.content) <= _LARGEST else {}
        except (httpx.HTTPError, ValueError) as error:
            _log.warning("authority_unreachable", error=str(error))
            raise Unavailable(
                "AuthorityUnavailable", "The authority does not answer. Try to sign in again later."
            ) from error
        access_token = body.get("access_token") if isinstance(body, dict) else None
        if answer.status_code != httpx.codes.OK or not isinstance(access_token, str):
            # The description names the fault, never the code.
            _log.info("code_refused", status=answer.status_code, error=_text(body, "error"))
            raise Unauthenticated(
                "SignInFailed",
                "The authority did not accept the sign-in. Sign in again. "
                + _text(body, "error_description")[:300],
            )
        return access_token


def _text(body: object, name: str) -> str:
    value = body.get(name, "") if isinstance(body, dict) else ""
    return value if isinstance(value, str) else ""
