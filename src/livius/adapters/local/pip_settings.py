"""The settings of this machine's pip, as one file for the pip of sessions.

A session has a home folder of its own and an environment without our variables, as they may contain
the secrets of a package index. This file goes into that home, readable by its owner only.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from configparser import RawConfigParser
from pathlib import Path
from typing import Final

_PREFIX: Final = "PIP_"
_SECTION: Final = "global"
_OURS: Final = frozenset({"target", "prefix", "root", "user", "python", "config-file"})
"""The session decides where pip installs."""


def pip_settings(environment: Mapping[str, str]) -> str:
    """Return the file's text: the user's files, then the variables, which override them."""
    merged = RawConfigParser()
    for file in _files(environment):
        merged.read(file, encoding="utf-8")
    for name, value in environment.items():
        if name.startswith(_PREFIX) and value:
            if not merged.has_section(_SECTION):
                merged.add_section(_SECTION)
            merged.set(_SECTION, name.removeprefix(_PREFIX).lower().replace("_", "-"), value)
    for section in merged.sections():
        for option in _OURS:
            merged.remove_option(section, option)
    text = io.StringIO()
    merged.write(text)
    return text.getvalue()


def _files(environment: Mapping[str, str]) -> list[Path]:
    named = environment.get("PIP_CONFIG_FILE")
    if named == os.devnull:  # pip's way to say: no files
        return []
    home = Path(environment.get("HOME", "/nonexistent"))
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    found = [home / ".pip" / "pip.conf", config / "pip" / "pip.conf"]
    return [*found, Path(named)] if named else found
