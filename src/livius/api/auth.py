"""The caller of a request, by its token.

It comes as a bearer token. A personal access token may also come as the password of Basic
authentication, with any user name, for clients of classic Livy.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import Annotated, Final

from fastapi import Depends, Request

from livius.domain.errors import Unauthenticated
from livius.domain.personal_token import is_personal
from livius.domain.principal import Principal
from livius.ports.identity import TokenVerifier
from livius.usecases.audit_throttle import ORIGIN

_BEARER: Final = "bearer"
_BASIC: Final = "basic"
MISSING: Final = "MissingToken"


def bearer_token(request: Request) -> str | None:
    """Return the token of a request that came as a bearer token."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == _BEARER else None


class Caller:
    """A dependency that yields the principal of a verified token."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def __call__(self, request: Request) -> Principal:
        """Verify the request's token.

        Raises:
            Unauthenticated: there is none, or it is invalid.
        """
        token = bearer_token(request)
        if token is not None:
            return await self._verifier.bearer_of(token)
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == _BASIC:
            return await self._verifier.bearer_of(_password(rest))
        raise Unauthenticated(
            MISSING,
            "The request has no bearer token. Send Authorization: Bearer <access token>.",
        )


def _password(encoded: str) -> str:
    """Return the personal token in a Basic header. No other password is accepted."""
    try:
        _, _, password = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        password = ""
    if not is_personal(password):
        raise Unauthenticated(
            "InvalidToken",
            "With Basic authentication the password is a personal access token. Make one: livius "
            "token create",
        )
    return password


async def current(request: Request) -> Principal:
    """Return the caller, from the application's verifier."""
    caller: Caller = request.app.state.caller
    principal = await caller(request)
    ORIGIN.set(replace(ORIGIN.get(), caller=principal))
    return principal


CurrentCaller = Annotated[Principal, Depends(current)]
