"""Commands as a person gives them who has set nothing but the data folder."""

import os
import subprocess
import sys
from pathlib import Path

LIBRARIES = {"cyclopts", "httpx", "pydantic", "rich", "structlog", "psutil", "sqlalchemy"}
"""Packages that take long to import."""


def plain_environment(home: Path) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("LIVIUS_")}
    return {**others, "LIVIUS_HOME": str(home)}


def imported(home: Path, *arguments: str) -> set[str]:
    """The packages that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "livius.cli", *arguments],
        env=plain_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert "livius.cli" in names
    return {name.partition(".")[0] for name in names}
