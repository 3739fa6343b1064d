"""What the paths of the Fabric Livy API have in common (Fabric contract 1.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Path, Query, Request

from livius.api.auth import bearer_token, current
from livius.domain.errors import Invalid
from livius.domain.ids import SessionId
from livius.domain.principal import Principal
from livius.usecases.access import SessionPath
from livius.usecases.context import Context

BASE: Final = "/v1/workspaces/{workspace}/lakehouses/{lakehouse}/livyapi/versions/{version}"
MAX_PAGE: Final = 1000
_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
STATEMENTS: Final = tuple(
    f"{of}/statements"
    for of in ("/sessions/{session}", "/highConcurrencySessions/{session}/repls/{repl}")
)
"""Where a repl's statements are: of a session of its own, and of a shared one."""

Id = Annotated[str, Path(max_length=100)]
Top = Annotated[int, Query(alias="$top", ge=0, le=MAX_PAGE)]
Count = Annotated[bool, Query(alias="$count")]
Skip = Annotated[int, Query(alias="$skip", ge=0)]


@dataclass(frozen=True, slots=True)
class Where:
    """The ids that every path of this API begins with, and the caller."""

    caller: Principal
    workspace: str
    lakehouse: str

    def session(self, session: str, repl: str | None = None) -> SessionPath:
        """Return the path of a session, or of a repl of it, as use cases take it."""
        return SessionPath(self.workspace, self.lakehouse, session, repl)


async def where(request: Request) -> Where:
    """Take any version date: Fabric's own clients send different ones for the same API.

    It reads the path itself: what every request passes through costs half without declarations.
    """
    caller = await current(request)
    path = request.path_params
    if not _VERSION.fullmatch(path["version"]):
        raise Invalid("InvalidInput", "version is a date like 2023-12-01.", field="version")
    return Where(caller, path["workspace"], path["lakehouse"])


async def target(request: Request) -> tuple[Where, SessionPath]:
    """Return the caller's place, and the session or repl that the path of a statement names."""
    here = await where(request)
    parts = request.path_params
    return here, here.session(parts["session"], parts.get("repl"))


Here = Annotated[Where, Depends(where)]
Target = Annotated[tuple[Where, SessionPath], Depends(target)]


def offer_token(context: Context, here: Where, request: Request, session: SessionId) -> None:
    """Offer the request's token for on-behalf-of exchange."""
    token = bearer_token(request)
    if token is not None:
        context.tokens.offer(session, here.caller, token)
