"""The options with which a command says which session it uses."""

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
        Use this live session, by id or name, and leave it running. Without it, a session of the
        command's own is started and ended.
    lakehouse
        Name or id of the lakehouse, or workspace/name; the sample if left out.
    conf
        KEY=VALUE for the new session's Spark conf; may be given several times.
    keep
        Leave the new session running, for --session of later commands.
    name
        The new session's name.
    """

    session: Annotated[str | None, Parameter(alias="-s")] = None
    lakehouse: str | None = None
    conf: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    keep: Annotated[bool, Parameter(negative="", show_default=False)] = False
    name: str | None = None
