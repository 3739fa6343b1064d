"""Tokens for programs that use the machine's sign-in instead of their own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import httpx

from livius.cli.answers import Failed, ask, token_form, token_url
from livius.cli.intercept.person import Person
from livius.cli.intercept.sign_in import SignInFailed, sign_in
from livius.domain.digests import challenge_of
from livius.installation.home import Connection, Home

_TOOLS: Final = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The client id of Azure's command line, which signs people in for the programs beside it."""
_REDIRECT: Final = "http://localhost"


class NoToken(Exception):
    """There is no token; the message has the reason."""


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


def default_scope(resource: str) -> str:
    """Return the scope that asks for all that is allowed at a resource."""
    return f"{resource.rstrip('/')}/.default"


def get_token(home: Home, scope: str, person: Person | None = None) -> Token:
    """Return a token for a scope.

    It is the user's, from the client application of Azure's tools, or the sample application's own.

    Raises:
        NoToken: no gateway serves, or its authority gives none for this scope.
    """
    connection = home.read_connection()
    if connection is None:
        raise NoToken(f"No gateway serves {home.root}. Start one with: livius up --detach")
    if connection.client_id is None or connection.client_secret is None:
        raise NoToken(
            f"The authority is {connection.authority}, which this command can't sign in at. Get "
            "a token there."
        )
    try:
        if person is None:
            return _redeem(connection, connection.client_id, token_form(connection, scope))
        return _redeem(connection, _TOOLS, _as_person(connection, scope, person))
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise NoToken(f"The authority did not answer: {error}") from None
    except Failed as error:
        raise NoToken(f"The authority issues no token: {error}") from None
    except SignInFailed as error:
        raise NoToken(str(error)) from None


def _as_person(connection: Connection, scope: str, person: Person) -> dict[str, str | None]:
    """Sign the person in, as the browser that the tool would open."""
    verifier = secrets.token_urlsafe(48)
    asked = {
        "client_id": _TOOLS,
        "response_type": "code",
        "redirect_uri": _REDIRECT,
        "scope": f"{scope} openid profile",
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    pages = f"{connection.http}/{connection.tenant_id}/oauth2/v2.0/authorize"
    brought = sign_in(person, f"{pages}?{urlencode(asked)}").fields()
    if "code" not in brought:
        raise NoToken(brought.get("error_description", "The authority gave no code."))
    return {
        "grant_type": "authorization_code",
        "client_id": _TOOLS,
        "code": brought["code"],
        "code_verifier": verifier,
        "redirect_uri": _REDIRECT,
        "scope": asked["scope"],
    }


def _redeem(connection: Connection, client_id: str, form: Mapping[str, str | None]) -> Token:
    body = ask(connection, token_url(connection), form=form)
    return Token(
        text=str(body["access_token"]),
        expires_on=int(time.time()) + int(body["expires_in"]),
        client_id=client_id,
        tenant=connection.tenant_id,
    )
