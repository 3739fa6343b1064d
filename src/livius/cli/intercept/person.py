"""The user that `livius exec --as` signs in within an intercepted tree."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_FILE: Final = "person.json"


@dataclass(frozen=True, slots=True)
class Person:
    """The user to sign in."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"Person({self.username!r})"

    def keep(self, folder: Path) -> None:
        """Write it for the tree's programs."""
        descriptor = os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)


def read_person(folder: Path) -> Person | None:
    """Return the user to sign in within a tree; None if people sign in."""
    try:
        return Person(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
