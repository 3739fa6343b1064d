"""The options that choose a command's session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """A live session, or a new one.

    Parameters
    ----------
    session
        Use this live session, by id or name, and leave it running. Without this option, the command
        starts a session and ends it.
    lakehouse
        Name or id of the lakehouse, or workspace/name; the sample if left out.
    conf
        KEY=VALUE for the new session's Spark conf; may be given several times.
    keep
        Leave the new session running, for later commands with --session.
    name
        The new session's name.
    """

    session: Annotated[str | None, Parameter(alias="-s")] = None
    lakehouse: str | None = None
    conf: tuple[str, ...] = ()
    keep: bool = False
    name: str | None = None
