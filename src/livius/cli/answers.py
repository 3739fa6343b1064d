"""Asks the gateway with the standard library alone: for commands that must be quick."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from livius.installation.home import Connection

_SCOPE: Final = "https://api.fabric.microsoft.com/.default"
_ANSWER_WITHIN: Final = 60.0


class ApiFailed(Exception):
    """The gateway answered with an error, or not in time."""


def ask(
    connection: Connection,
    url: str,
    *,
    form: dict[str, str | None] | None = None,
    within: float = _ANSWER_WITHIN,
) -> dict[str, Any]:
    """Return the JSON object at an https address of the gateway, or the answer to a form.

    The gateway's certificate is trusted, and no proxy is used.

    Raises:
        ApiFailed: it did not answer, or with an error, or not with JSON.
    """
    parts = urlsplit(url)
    link = http.client.HTTPSConnection(
        parts.netloc,
        timeout=within,
        context=ssl.create_default_context(cafile=connection.ca_file),
    )
    try:
        if form is None:
            link.request("GET", parts.path)
        else:
            body = urlencode({name: value for name, value in form.items() if value is not None})
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            link.request("POST", parts.path, body, kind)
        answer = link.getresponse()
        text = answer.read().decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise ApiFailed(str(error) or type(error).__name__) from error
    finally:
        link.close()
    if answer.status != http.client.OK:
        raise ApiFailed(f"{answer.status}: {text[:300]}")
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ApiFailed(f"what it says is no JSON: {text[:300]}") from error
    return found


def token_url(connection: Connection) -> str:
    """Return the authority's token endpoint."""
    return f"{connection.authority}/oauth2/v2.0/token"


def token_form(connection: Connection) -> dict[str, str | None]:
    """Return the form that asks for an access token as the sample application."""
    return {
        "grant_type": "client_credentials",
        "client_id": connection.client_id,
        "client_secret": connection.client_secret,
        "scope": _SCOPE,
    }


def fetch_token(connection: Connection) -> str:
    """Return an access token for the sample application.

    Raises:
        ApiFailed: there is none to be had.
    """
    if connection.client_id is None:
        raise ApiFailed(
            f"The authority is {connection.authority}: it issues the tokens, so sign in there. For "
            "a program that knows no sign-in: livius token create"
        )
    try:
        answer = ask(connection, token_url(connection), form=token_form(connection))
        return str(answer["access_token"])
    except ApiFailed as error:
        raise ApiFailed(f"No token: {error}") from error
