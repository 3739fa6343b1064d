"""Two principals of a per-user installation, whose sessions attack each other."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livius.domain.ids import PrincipalId
from support.gateway import Gateway, RemoteSession, driver_folder

FIRST, LAST = 2_100_000, 2_199_999
"""The numbers that the users of principals have."""


def printed_json(session: RemoteSession, code: str) -> Any:
    """The last line that the code prints, parsed as JSON."""
    return json.loads(session.text(code).splitlines()[-1])


@dataclass(frozen=True)
class Team:
    """Two principals who share a workspace, and a workspace that only the second one is in.

    ``inside`` is a session of the second one's there: its lakehouse is ``secrets``.
    """

    gateway: Gateway
    one: RemoteSession
    other: RemoteSession
    inside: RemoteSession
    shared: Path
    private: Path
    person: PrincipalId

    def driver(self, session: RemoteSession) -> Path:
        """The folder of a session's driver."""
        return driver_folder(session)
