"""The settings' reference, made from the settings themselves."""

from __future__ import annotations

from datetime import timedelta

from pydantic_core import PydanticUndefined

from livius.settings import Settings


def settings_page() -> str:
    """Return ``docs/reference/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Environment variables, read once at the start. Durations are seconds or ISO 8601",
        "(`PT20M`); sizes are bytes or have a unit (`100MiB`). Made from the code; a test keeps it",
        "true.",
        "",
        "| variable | default | what it is |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is PydanticUndefined else _shown(field.default)
        lines.append(f"| `LIVIUS_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, int) and value >= 1024 and value % 1024 == 0:  # noqa: PLR2004 - a size
        mebibytes = value / 2**20
        return f"{mebibytes:g} MiB" if mebibytes >= 1 else f"{value // 1024} KiB"
    return f"`{value}`"
