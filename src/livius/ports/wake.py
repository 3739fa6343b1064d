"""Waking the reconciler."""

from __future__ import annotations

from typing import Protocol

from livius.domain.ids import DriverId


class Wake(Protocol):
    """Wakes the reconciler for a driver that may need a step.

    Called after the commit. A lost wake-up costs a poll interval, never correctness.
    """

    def __call__(self, driver: DriverId, /) -> None:
        """Queue the driver. Never blocks; the same key twice is one step."""
        ...
