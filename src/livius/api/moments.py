"""Moments as the API writes them: ISO 8601 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def to_milliseconds(moment: datetime) -> str:
    """Return a moment with milliseconds, as in 2026-01-31T12:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_seconds(moment: datetime) -> str:
    """Return a moment with whole seconds, as the monitoring API writes them."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
