"""The data folder of a command, without reading the other settings if none is set."""

from __future__ import annotations

import os
from typing import Final

from livius.data_folder import OTHER_VARIABLES, data_folder
from livius.installation.home import Home

_HOME: Final = "LIVIUS_HOME"


def find_home() -> Home:
    """Return the data folder. Where other settings are set, all of them are read and checked."""
    ours = {name for name in os.environ if name.upper().startswith("LIVIUS_")}
    if ours - OTHER_VARIABLES - {_HOME}:
        from livius.cli.console import settings

        return Home(settings().home)
    return Home(data_folder())
