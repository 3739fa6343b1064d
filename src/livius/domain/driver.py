"""A driver: one launched Spark driver, owned by one session, and its link secret."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from livius.domain.digests import hash_drawn
from livius.domain.ids import DriverId, SessionId

_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """One driver. ``secret_hash`` is None until it is launched for the first time.

    Its folder is derived from its id, so the handle is durable before the launch: a gateway that
    was killed during a launch learns from the folder how far the launch came.
    """

    id: DriverId
    session: SessionId
    secret_hash: str | None
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverEnd:
    """How a driver ended.

    ``log`` is the end of its output. ``code`` and ``signal`` are None if its supervisor did not see
    the end.
    """

    code: int | None = None
    signal: int | None = None
    oom: bool = False
    log: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Describe the end for people."""
        if self.oom:
            return (
                "The Spark driver ran out of memory and was ended. Let the operator change "
                "LIVIUS_DRIVER_MEMORY, or bring less data to the driver at once."
            )
        if self.signal is not None:
            return f"The Spark driver's agent was ended by signal {self.signal}, and Spark with it."
        if self.code is not None:
            return f"The Spark driver's agent ended by itself with exit code {self.code}."
        return "The Spark driver's supervisor was killed, and the driver with it."


def new_secret() -> str:
    """Return a fresh link secret of 32 random bytes."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def verify_secret(secret: str, secret_hash: str | None) -> bool:
    """Compare in constant time."""
    return secret_hash is not None and hmac.compare_digest(hash_drawn(secret), secret_hash)
