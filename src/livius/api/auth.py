"""Who is calling: the bearer token of a request."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request

from livius.domain.errors import Unauthenticated
from livius.domain.identity import Principal
from livius.ports.identity import TokenVerifier

_SCHEME: Final = "bearer "
CALLER: Final = "livius.caller"
"""Where in a request's scope the verified caller stands."""


class Caller:
    """A dependency that yields the principal of a verified token."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def __call__(self, request: Request) -> Principal:
        """Verify the request's token.

        Raises:
            Unauthenticated: there is none, or it is not valid.
        """
        header = request.headers.get("authorization", "")
        if header[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated(
                "MissingToken",
                "The request has no bearer token. Send Authorization: Bearer <access token>.",
            )
        return self._verifier.verify(header[len(_SCHEME) :].strip())


async def current(request: Request) -> Principal:
    """Return the caller, by the verifier that the application was made with."""
    caller: Caller = request.app.state.caller
    principal = await caller(request)
    request.scope[CALLER] = principal  # for the log
    return principal


CurrentCaller = Annotated[Principal, Depends(current)]
