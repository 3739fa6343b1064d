"""Names of runtimes."""

from __future__ import annotations

from livius.domain.errors import Invalid
from livius.domain.messages import Message


def check_runtime(name: str, runtimes: frozenset[str], *, field: str) -> None:
    """Refuse a runtime that this server doesn't have.

    Raises:
        Invalid: the message names those that it has; ``field`` is the part of the request.
    """
    if name not in runtimes:
        raise Invalid(
            "RuntimeNotFound",
            Message(
                "This server has no runtime %(name)s. It has: %(others)s.",
                name=name[:20],
                others=", ".join(sorted(runtimes)),
            ),
            field=field,
        )
