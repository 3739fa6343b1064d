"""Asks the gateway with the standard library alone: for commands that must be quick."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from livius.installation.home import Connection

_SCOPE: Final = "https://api.fabric.microsoft.com/.default"
_ANSWER_WITHIN: Final = 60.0


class Failed(Exception):
    """A command can't do its work. The message says why, and mostly what to do next."""


def ask(
    connection: Connection,
    url: str,
    *,
    form: Mapping[str, str | None] | None = None,
    within: float = _ANSWER_WITHIN,
) -> dict[str, Any]:
    """Return the JSON object at an https address of the gateway, or the answer to a form.

    The gateway's certificate is trusted, and no proxy is used.

    Raises:
        Failed: it did not answer, or with an error, or not with JSON.
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
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(str(error) or type(error).__name__) from error
    finally:
        link.close()
    if answer.status != http.client.OK:
        raise Failed(error_text(answer.status, text))
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise Failed(f"The answer is no JSON: {text[:300]!r}") from error
    return found


def error_text(status: int, text: bytes) -> str:
    """Return the message of an error, which is a sentence where the gateway wrote it."""
    try:
        body = json.loads(text)
        return str(body.get("message") or body["error_description"])
    except (ValueError, KeyError, AttributeError):
        return f"The gateway answered {status}: {text[:300].decode(errors='replace')}"


def token_url(connection: Connection) -> str:
    """Return the authority's token endpoint."""
    return f"{connection.authority}/oauth2/v2.0/token"


def token_form(connection: Connection, scope: str = _SCOPE) -> dict[str, str | None]:
    """Return the form that asks for an access token as the sample application."""
    return {
        "grant_type": "client_credentials",
        "client_id": connection.client_id,
        "client_secret": connection.client_secret,
        "scope": scope,
    }


def fetch_token(connection: Connection) -> str:
    """Return an access token for the sample application.

    Raises:
        Failed: there is none to be had.
    """
    if connection.client_id is None:
        raise Failed(
            f"The authority is {connection.authority}: it issues the tokens, so sign in there. For "
            "a program that knows no sign-in: livius token create"
        )
    try:
        answer = ask(connection, token_url(connection), form=token_form(connection))
        return str(answer["access_token"])
    except Failed as error:
        raise Failed(f"No token: {error}") from error
