"""Finds the data folder, for commands that must be too quick to read all settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

OTHER_VARIABLES: Final = frozenset({"LIVIUS_DRIVER", "LIVIUS_TREE", "LIVIUS_PASSWORD"})
"""Our variables that are no settings: marks of processes, and variables for `livius exec`."""


def clone_root() -> Path | None:
    """Return the folder of the clone that this package runs from, if it does."""
    root = Path(__file__).parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "src").is_dir() else None


def default_data_folder() -> Path:
    """Return the data folder of an installation that names none."""
    root = clone_root()
    if root is not None:
        return root / ".livius"
    from platformdirs import user_data_path

    return user_data_path("livius")


def data_folder() -> Path:
    """Return the data folder, as the setting ``LIVIUS_HOME`` has it."""
    named = os.environ.get("LIVIUS_HOME")
    return default_data_folder() if named is None else Path(named).expanduser().absolute()
