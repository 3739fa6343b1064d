"""Tokens for programs that sign in by the machine rather than by themselves."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx

from livius.cli.client import open_http
from livius.installation.home import Home


class NoToken(Exception):
    """There is none; the message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; ``expires_on`` is in seconds since 1970."""

    text: str
    expires_on: int
    client_id: str
    tenant: str

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"Token(expires_on={self.expires_on})"


def sample_token(home: Home, resource: str) -> Token:
    """Return a token of the sample application for a resource, or for a scope ``…/.default``.

    Raises:
        NoToken: no gateway serves, or its authority gives none for this resource.
    """
    connection = home.read_connection()
    if connection is None:
        raise NoToken(f"No gateway serves {home.root}. Start one with: livius up --detach")
    scope = resource if resource.endswith("/.default") else f"{resource.rstrip('/')}/.default"
    try:
        with open_http(connection) as http:
            answer = http.post(
                f"{connection.authority}/oauth2/v2.0/token",
                data={
                    "grant_type": "client_credentials",
                    "client_id": connection.client_id,
                    "client_secret": connection.client_secret,
                    "scope": scope,
                },
            )
        body = answer.json()
        if answer.is_error:
            raise NoToken(str(body["error_description"]))
        return Token(
            text=str(body["access_token"]),
            expires_on=int(time.time()) + int(body["expires_in"]),
            client_id=connection.client_id,
            tenant=connection.tenant_id,
        )
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise NoToken(f"The authority did not answer: {error}") from None
