"""High-concurrency sessions: one repl each, of a Livy session that several of them share.

A high-concurrency session (Fabric contract 4.1) is a handle with an id of its own. It is packed
into a Livy session of the same user, lakehouse, runtime, conf and tag while that one has room, so
that a client's parallel threads share one driver.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from livius.domain.ids import (
    HighConcurrencyId,
    LakehouseId,
    PrincipalId,
    ReplId,
    SessionId,
    WorkspaceId,
)

LIMIT_KEY: Final = "spark.highConcurrency.max"
"""The conf key that says how many repls share a session: Fabric reads it in environments."""
DEFAULT_LIMIT: Final = 5
SMALLEST_LIMIT: Final = 2
LARGEST_LIMIT: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Which acquires may share a session, and how many repls it has room for.

    Acquires share where their keys are equal.
    """

    key: str
    limit: int


def sharing_key(
    *,
    submitter: PrincipalId,
    lakehouse: LakehouseId,
    runtime: str,
    conf: Mapping[str, str],
    tag: str | None,
) -> str:
    """Return the digest of what sessions must have in common to be shared (contract 4.5).

    ``conf`` is the whole conf of the request. One that differs in any way gets a session of its
    own: a setting is applied or it is not shared, never dropped.
    """
    fixed = [submitter, lakehouse, runtime, sorted(conf.items()), tag]
    return hashlib.sha256(json.dumps(fixed).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class HighConcurrencySession:
    """A handle for one repl of a shared session. ``deleted_at`` is the mark of its deletion."""

    id: HighConcurrencyId
    repl: ReplId
    session: SessionId
    workspace: WorkspaceId
    lakehouse: LakehouseId
    creator: PrincipalId
    tag: str | None
    created_at: datetime
    deleted_at: datetime | None = None
