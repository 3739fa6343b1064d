"""Ids as distinct types: a bare string does not cross a function boundary as an id.

All are lower-case GUIDs, except statement numbers, which count from 0 within a repl.
"""

from __future__ import annotations

from typing import NewType
from uuid import UUID, uuid4

from livius.domain.errors import NotFound
from livius.domain.messages import Message

TenantId = NewType("TenantId", str)
PrincipalId = NewType("PrincipalId", str)
"""A principal's object id in its tenant: Entra's ``oid``."""
ClientId = NewType("ClientId", str)
WorkspaceId = NewType("WorkspaceId", str)
LakehouseId = NewType("LakehouseId", str)
SparkPoolId = NewType("SparkPoolId", str)
SessionId = NewType("SessionId", str)
ReplId = NewType("ReplId", str)
HighConcurrencyId = NewType("HighConcurrencyId", str)
DriverId = NewType("DriverId", str)
OperationId = NewType("OperationId", str)
EnvironmentId = NewType("EnvironmentId", str)
EnvironmentVersionId = NewType("EnvironmentVersionId", str)
StatementNumber = NewType("StatementNumber", int)


def new_id() -> str:
    """Return a fresh GUID. Random, so never reused and never guessed."""
    return str(uuid4())


def parse_id(text: str, *, what: str) -> str:
    """Return a GUID in its canonical form.

    Raises:
        NotFound: the text is no GUID, so nothing has this id. ``what`` names the kind of thing.
    """
    try:
        return str(UUID(text))
    except ValueError:
        raise NotFound(
            f"{what}NotFound",
            Message("There is no %(what)s with this id: ids are GUIDs.", what=what.lower()),
        ) from None
