"""The runtimes of this installation, which are built when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfDefaults:
    """The conf of a runtime's drivers without any request: Spark's own, and the gateway's above it.

    The gateway's value is empty where it differs for each driver.
    """

    spark: Mapping[str, str]
    gateway: Mapping[str, str]


class Runtimes(Protocol):
    """Runtimes by their names, such as 1.3."""

    def names(self) -> frozenset[str]:
        """Return the runtimes that drivers may have: built ones, and those that can be built."""
        ...

    def is_built(self, name: str) -> bool:
        """Tell whether drivers of this runtime can be started now."""
        ...

    async def build(self, name: str) -> None:
        """Build a runtime, which takes minutes; return at once if it is built.

        Any number of callers may wait for the same build. What is done of a build that failed, or
        whose caller was cancelled, is used by the next.

        Raises:
            Unavailable: it can't be built; the message has the reason and the next step.
        """
        ...

    def step(self, name: str) -> str | None:
        """Return the step that a build is at; None if none is under way."""
        ...

    def defaults(self, name: str) -> ConfDefaults:
        """Return the defaults of the conf of this runtime's drivers; none of an unknown one."""
        ...
